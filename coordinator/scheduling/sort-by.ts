/** Sorted by keys, compared number by number; equal ones keep their order. */
export function sortBy<T>(values: readonly T[], key: (value: T) => readonly number[]): T[] {
  const keyed = values.map((value) => ({ value, key: key(value) }));
  keyed.sort((a, b) => {
    const at = a.key.findIndex((part, i) => part !== b.key[i]);
    return at < 0 ? 0 : a.key[at]! - b.key[at]!;
  });
  return keyed.map(({ value }) => value);
}
