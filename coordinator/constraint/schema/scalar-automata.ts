import type { Automata } from '../automata.ts';
import { type CharacterAutomaton, graphOf } from '../character-automaton.ts';
import { decimals, fractionRoom, isBeyond, numbersAbove, numbersBelow } from '../decimal-range.ts';
import {
  type CharacterRange,
  characters,
  choice,
  commonCharacters,
  type Expression,
  MAX_CHARACTER,
  repeat,
  sequence,
  text,
} from '../expression.ts';
import { INTEGER, UNESCAPED } from '../json-grammar.ts';
import type { NumberRules, StringRules } from './schema-node.ts';

export const ANY_CHARACTER: readonly CharacterRange[] = [[0, MAX_CHARACTER]];
/** What spelling a range counts, in the terms of Automata. */
const WORK_OF_RANGE = 10;
/** Characters that a string holds escaped, with the letter that stands for them. */
const ESCAPES: readonly (readonly [character: number, letter: string])[] = [
  [0x22, '"'],
  [0x5c, '\\'],
  [0x0a, 'n'],
  [0x0d, 'r'],
  [0x09, 't'],
  [0x08, 'b'],
  [0x0c, 'f'],
];

/** Numbers as they are written: without exponent where there are bounds. */
export function numberAutomaton(automata: Automata, rules: NumberRules): CharacterAutomaton {
  const { isInteger, multiples } = rules;
  const lower = rules.lower.filter(({ value }) => !isBeyond('lower', value));
  const upper = rules.upper.filter(({ value }) => !isBeyond('upper', value));
  const room = fractionRoom([...lower, ...upper]);
  let automaton = automata.of(isInteger || multiples.length > 0 ? INTEGER : decimals(room));
  for (const bound of lower) automaton = automata.intersection(automaton, automata.of(numbersAbove(bound, room)));
  for (const bound of upper) automaton = automata.intersection(automaton, automata.of(numbersBelow(bound, room)));
  for (const multiple of multiples) automaton = automata.intersection(automaton, multiplesOf(multiple));
  return automaton;
}

/** Whole numbers whose remainder, kept digit by digit, ends as 0; the sign makes no difference. */
function multiplesOf(divisor: number): CharacterAutomaton {
  const digits = (remainder: number) =>
    Array.from({ length: 10 }, (_, digit) => ({
      ranges: [[0x30 + digit, 0x30 + digit]] as const,
      to: 1 + ((10 * remainder + digit) % divisor),
    }));
  const start = [{ ranges: [[0x2d, 0x2d]] as const, to: 0 }, ...digits(0)];
  return {
    edges: [start, ...Array.from({ length: divisor }, (_, remainder) => digits(remainder))],
    accepts: [false, ...Array.from({ length: divisor }, (_, remainder) => remainder === 0)],
  };
}

/** The texts of strings, unquoted and unescaped. */
export function stringAutomaton(automata: Automata, rules: StringRules): CharacterAutomaton {
  const { min, max } = rules;
  const isAnyLength = min === 0 && max === Number.POSITIVE_INFINITY;
  const lengths = isAnyLength && rules.automata.length > 0 ? [] : [repeat(characters(...ANY_CHARACTER), min, max)];
  const all = [...rules.automata, ...lengths.map((expression) => automata.of(expression))];
  return all.reduce((a, b) => automata.intersection(a, b));
}

/** Strings of these texts, as JSON writes them; each text in one way only, so that texts that are left out stay out. */
export function quoted(automata: Automata, automaton: CharacterAutomaton): Expression {
  return sequence(text('"'), spelledOut(automata, automaton, spelled), text('"'));
}

/** The texts of an automaton. @param spell how a character out of ranges is written */
export function spelledOut(
  automata: Automata,
  automaton: CharacterAutomaton,
  spell: (ranges: readonly CharacterRange[]) => Expression,
): Expression {
  for (const edges of automaton.edges) for (const { ranges } of edges) automata.spend(WORK_OF_RANGE * ranges.length);
  return { kind: 'graph', graph: graphOf(automaton, spell) };
}

/** Control characters without an escape letter are left out, but where nothing else is possible. */
export function spelled(ranges: readonly CharacterRange[]): Expression {
  const has = (code: number): boolean => ranges.some(([first, last]) => first <= code && code <= last);
  const plain = commonCharacters(ranges, UNESCAPED);
  const letters = ESCAPES.filter(([code]) => has(code)).map(([, letter]): CharacterRange => {
    const code = letter.charCodeAt(0);
    return [code, code];
  });
  const options: Expression[] = [];
  if (plain.length > 0) options.push(characters(...plain));
  if (letters.length > 0) options.push(sequence(text('\\'), characters(...letters)));
  if (options.length > 0) return choice(...options);
  const controls = Array.from({ length: 0x20 }, (_, code) => code).filter(has);
  return choice(...controls.map((code) => text(`\\u${code.toString(16).padStart(4, '0')}`)));
}
