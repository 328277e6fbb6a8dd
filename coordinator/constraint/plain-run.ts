import type { ParseState, ParseStates } from './parse-states.ts';

type ByteRange = readonly [low: number, high: number];

const TAIL: ByteRange = [0x80, 0xbf];
/** The plain characters in UTF-8: ranges of a first byte and of those after it. */
const PLAIN: readonly (readonly ByteRange[])[] = [
  [[0x20, 0x21]],
  [[0x23, 0x5b]],
  [[0x5d, 0x7f]],
  [[0xc2, 0xdf], TAIL],
  [[0xe0, 0xe0], [0xa0, 0xbf], TAIL],
  [[0xe1, 0xe1], TAIL, TAIL],
  [
    [0xe2, 0xe2],
    [0x80, 0x80],
    [0x80, 0xa7],
  ],
  [
    [0xe2, 0xe2],
    [0x80, 0x80],
    [0xaa, 0xbf],
  ],
  [[0xe2, 0xe2], [0x81, 0xbf], TAIL],
  [[0xe3, 0xec], TAIL, TAIL],
  [[0xed, 0xed], [0x80, 0x9f], TAIL],
  [[0xee, 0xef], TAIL, TAIL],
  [[0xf0, 0xf0], [0x90, 0xbf], TAIL, TAIL],
  [[0xf1, 0xf3], TAIL, TAIL, TAIL],
  [[0xf4, 0xf4], [0x80, 0x8f], TAIL, TAIL],
];

/**
 * The state after any one plain character (see VocabularyIndex), where that is the same for all of them; null where
 * none may follow, undefined where it depends on the character.
 */
export function afterPlain(states: ParseStates, state: ParseState): ParseState | null | undefined {
  let after: ParseState | null | undefined;
  for (const bytes of PLAIN) {
    const next = afterAll(states, state, bytes);
    if (next === undefined || (after !== undefined && next !== after)) return undefined;
    after = next;
  }
  return after;
}

function afterAll(states: ParseStates, state: ParseState, ranges: readonly ByteRange[]): ParseState | null | undefined {
  const [range, ...tail] = ranges;
  if (range === undefined) return state;
  let after: ParseState | null | undefined;
  let seen: ParseState | null | undefined;
  for (let byte = range[0]; byte <= range[1]; byte++) {
    const next = states.step(state, byte);
    if (next === seen) continue;
    seen = next;
    const end = next === null ? null : afterAll(states, next, tail);
    if (end === undefined || (after !== undefined && end !== after)) return undefined;
    after = end;
  }
  return after;
}
