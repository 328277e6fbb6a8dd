import type { Automata } from '../automata.ts';
import type { CharacterAutomaton } from '../character-automaton.ts';
import { characters, choice, type Expression, repeat, rule, sequence, text } from '../expression.ts';
import { INTEGER, JSON_RULES } from '../json-grammar.ts';
import type { Alternative } from './alternatives.ts';
import { ANY_CHARACTER, numberAutomaton, quoted, spelled, spelledOut, stringAutomaton } from './scalar-automata.ts';
import type { NumberRules, StringRules } from './schema-node.ts';

/** Rules for numbers and strings: those of which schemas say the same are one, however often that is. */
export class ScalarRules {
  readonly #automata: Automata;
  readonly #rules: Map<string, Expression>;
  /** For their names. */
  readonly #numbers = new Map<CharacterAutomaton, number>();

  /** @param rules to which they are added */
  constructor(automata: Automata, rules: Map<string, Expression>) {
    this.#automata = automata;
    this.#rules = rules;
  }

  /** @throws StarlingError invalid_request as Automata */
  of(alternative: Extract<Alternative, { kind: 'number' | 'string' }>): Expression {
    const name = this.#name(alternative);
    if (!this.#rules.has(name)) {
      const written = alternative.kind === 'number' ? this.#number(alternative) : this.#string(alternative);
      this.#rules.set(name, written);
    }
    return rule(name);
  }

  #name(alternative: Extract<Alternative, { kind: 'number' | 'string' }>): string {
    return JSON.stringify(alternative, (key, value: unknown) =>
      key === 'automata' ? (value as readonly CharacterAutomaton[]).map((each) => this.#numberOf(each)) : value,
    );
  }

  #numberOf(automaton: CharacterAutomaton): number {
    const number = this.#numbers.get(automaton) ?? this.#numbers.size;
    this.#numbers.set(automaton, number);
    return number;
  }

  #number(rules: NumberRules): Expression {
    const { isInteger, lower, upper, multiples } = rules;
    if (lower.length + upper.length + multiples.length === 0) return isInteger ? INTEGER : rule(JSON_RULES.number);
    const automaton = numberAutomaton(this.#automata, rules);
    return spelledOut(this.#automata, automaton, (ranges) => characters(...ranges));
  }

  #string(rules: StringRules): Expression {
    const { min, max, automata } = rules;
    if (min > max) return choice();
    if (automata.length > 0) return quoted(this.#automata, stringAutomaton(this.#automata, rules));
    if (min === 0 && max === Number.POSITIVE_INFINITY) return rule(JSON_RULES.string);
    return sequence(text('"'), repeat(spelled(ANY_CHARACTER), min, max), text('"'));
  }
}
