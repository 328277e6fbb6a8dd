import type { ParseState, ParseStates } from './parse-states.ts';

/** The bytes after the first of a plain character: which first bytes they follow, and the range of each of them. */
const LEADS: readonly (readonly [low: number, high: number, tail: readonly (readonly [number, number])[]])[] = [
  [0x20, 0x21, []],
  [0x23, 0x5b, []],
  [0x5d, 0x7f, []],
  [0xc2, 0xdf, [[0x80, 0xbf]]],
  [
    0xe0,
    0xe0,
    [
      [0xa0, 0xbf],
      [0x80, 0xbf],
    ],
  ],
  [
    0xe1,
    0xec,
    [
      [0x80, 0xbf],
      [0x80, 0xbf],
    ],
  ],
  [
    0xed,
    0xed,
    [
      [0x80, 0x9f],
      [0x80, 0xbf],
    ],
  ],
  [
    0xee,
    0xef,
    [
      [0x80, 0xbf],
      [0x80, 0xbf],
    ],
  ],
  [
    0xf0,
    0xf0,
    [
      [0x90, 0xbf],
      [0x80, 0xbf],
      [0x80, 0xbf],
    ],
  ],
  [
    0xf1,
    0xf3,
    [
      [0x80, 0xbf],
      [0x80, 0xbf],
      [0x80, 0xbf],
    ],
  ],
  [
    0xf4,
    0xf4,
    [
      [0x80, 0x8f],
      [0x80, 0xbf],
      [0x80, 0xbf],
    ],
  ],
];

/**
 * The state after any one plain character (see VocabularyIndex), where that is the same for all of them; null where none may follow,
 * undefined where it depends on the character.
 */
export function afterPlain(states: ParseStates, state: ParseState): ParseState | null | undefined {
  let after: ParseState | null | undefined;
  for (const [low, high, tail] of LEADS) {
    const next = afterAll(states, state, [[low, high], ...tail]);
    if (next === undefined || (after !== undefined && next !== after)) return undefined;
    after = next;
  }
  return after;
}

function afterAll(
  states: ParseStates,
  state: ParseState,
  ranges: readonly (readonly [number, number])[],
): ParseState | null | undefined {
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
