/** Whom each device answers: by its place, null for the serving one, which is the first. */
export type Topology = readonly (number | null)[];

/** Every device answers the serving one. */
export const star = (devices: number): Topology => Array.from({ length: devices }, (_, d) => (d === 0 ? null : 0));

/**
 * About √n groups of about √n devices; the first of a group passes inputs on to the others, adds their sums to its own,
 * and answers for all of them.
 */
export function twoLevels(devices: number): Topology {
  const others = devices - 1;
  const groups = Math.max(1, Math.round(Math.sqrt(others)));
  return Array.from({ length: devices }, (_, d) => {
    if (d === 0) return null;
    const group = Math.floor(((d - 1) * groups) / others);
    const first = 1 + Math.ceil((group * others) / groups);
    return d === first ? 0 : first;
  });
}
