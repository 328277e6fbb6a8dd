const MAX_CHARACTERS = 80;

/**
 * A name from a file as it may stand in a message: without control characters, which a terminal would obey, and not too
 * long.
 */
export function shown(name: string): string {
  const text = name.slice(0, MAX_CHARACTERS).replaceAll(/\p{Cc}/gu, '?');
  return name.length > MAX_CHARACTERS ? `${text}…` : text;
}
