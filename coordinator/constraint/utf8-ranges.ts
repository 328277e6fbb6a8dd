import type { CharacterRange } from './expression.ts';

/** Bytes that may stand at each place of a character's UTF-8: as many ranges as it has bytes. */
export type ByteSequence = readonly (readonly [low: number, high: number])[];

/** Last code points that have one, two, three and four bytes; surrogates have no encoding. */
const PLANES: readonly CharacterRange[] = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, 0x10ffff],
];

/** The UTF-8 of a range of characters, as sequences of byte ranges that together have exactly these characters. */
export function utf8Sequences([first, last]: CharacterRange): ByteSequence[] {
  return PLANES.flatMap(([low, high]) => {
    const [from, to] = [Math.max(first, low), Math.min(last, high)];
    return from > to ? [] : split(from, to);
  });
}

/** Cuts a range of characters of the same length so that the bytes after the first that differs are free. */
function split(first: number, last: number): ByteSequence[] {
  const length = encode(first).length;
  for (let tail = 1; tail < length; tail++) {
    const mask = (1 << (6 * tail)) - 1;
    if (first >> (6 * tail) === last >> (6 * tail)) continue;
    if ((first & mask) !== 0) return [...split(first, first | mask), ...split((first | mask) + 1, last)];
    if ((last & mask) !== mask) return [...split(first, (last & ~mask) - 1), ...split(last & ~mask, last)];
  }
  const high = encode(last);
  return [encode(first).map((byte, i) => [byte, high[i]!] as const)];
}

function encode(character: number): number[] {
  return [...Buffer.from(String.fromCodePoint(character), 'utf8')];
}
