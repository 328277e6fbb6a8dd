import { type CharacterRange, normalRanges } from './expression.ts';

/** Bytes that may stand at each place of a character's UTF-8: as many ranges as it has bytes. */
type ByteSequence = readonly (readonly [low: number, high: number])[];

/** Last code points that have one, two, three and four bytes; surrogates have no encoding. */
const PLANES: readonly CharacterRange[] = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, 0x10ffff],
];

/** In a ByteGraph, the places before its first byte and after its last. */
export const BEFORE = -1;
export const AFTER = -2;

/** The UTF-8 of some characters as edges between `inner` places and the two outside. */
export interface ByteGraph {
  readonly inner: number;
  /** Flat: a place, the lowest byte, the highest, the place after it. */
  readonly edges: readonly number[];
}

/** The UTF-8 of any one character out of ranges. Characters that end alike share the places of their ends. */
export function byteGraph(ranges: readonly CharacterRange[]): ByteGraph {
  const edges: number[] = [];
  const places = new Map<string, number>();
  for (const bytes of normalRanges(ranges).flatMap(utf8Sequences)) {
    let next = AFTER;
    for (let i = bytes.length - 1; i > 0; i--) {
      const [low, high] = bytes[i]!;
      const key = `${low} ${high} ${next}`;
      let place = places.get(key);
      if (place === undefined) {
        place = places.size;
        places.set(key, place);
        edges.push(place, low, high, next);
      }
      next = place;
    }
    edges.push(BEFORE, ...bytes[0]!, next);
  }
  return { inner: places.size, edges };
}

/** The UTF-8 of a range of characters, as sequences of byte ranges that together have exactly these characters. */
function utf8Sequences([first, last]: CharacterRange): ByteSequence[] {
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
