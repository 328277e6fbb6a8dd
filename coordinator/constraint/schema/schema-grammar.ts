import { Automata } from '../automata.ts';
import { type CharacterAutomaton, union } from '../character-automaton.ts';
import {
  anyOf,
  choice,
  type Expression,
  type ExpressionGraph,
  type Grammar,
  type GraphEdge,
  rule,
  sequence,
  text,
} from '../expression.ts';
import { ANY_JSON, COLON, COMMA, JSON_RULES, type Json, spellJson } from '../json-grammar.ts';
import { type Alternative, Alternatives, type ObjectAlternative } from './alternatives.ts';
import { arrayGraph } from './array-graph.ts';
import { readSchema } from './read-schema.ts';
import { quoted, stringAutomaton } from './scalar-automata.ts';
import { ScalarRules } from './scalar-rules.ts';
import { unsupported } from './schema-errors.ts';
import type { Counts, SchemaNode } from './schema-node.ts';

/** Patterns of names that may hold for one object: each doubles the kinds of names to tell apart. */
const MAX_PATTERNS = 5;

/** The values that a JSON Schema allows. @throws StarlingError as SchemaRules.add */
export function schemaGrammar(schema: Json): Grammar {
  const schemas = new SchemaRules();
  return { rules: schemas.rules.set('root', schemas.add(schema)), root: 'root' };
}

/**
 * Rules for the values that JSON Schemas allow, as they are written: on one line, with a space after commas and colons,
 * properties in the order of the schema and others after them. What is written satisfies the schema; not all that
 * satisfies it can be written. The work of all the schemas is bounded together, and what they have in common they
 * share.
 */
export class SchemaRules {
  /** Those of any JSON value among them. */
  readonly rules = new Map<string, Expression>(ANY_JSON);
  readonly #automata = new Automata();
  readonly #scalars = new ScalarRules(this.#automata, this.rules);
  #schemas = 0;

  /**
   * @returns a value of the schema, by its rules
   * @throws StarlingError unsupported_parameter, with keyword and JSON pointer, for what is not supported;
   * invalid_request for what is no schema, or one that nothing satisfies
   */
  add(schema: Json): Expression {
    const root = readSchema(schema, this.#automata);
    const grammar = new SchemaGrammar(`value ${this.#schemas++}`, this.#automata, this.#scalars);
    const value = grammar.value([root]);
    // Only once they are all there: others may be added after one that is refused.
    for (const [name, expression] of grammar.rules()) this.rules.set(name, expression);
    return value;
  }
}

/** What each rule for a value counts, in the terms of Automata: there are at most some ten thousand. */
const WORK_OF_RULE = 100;

/** Names that a rule of their own is for, and the schemas of their values. */
interface NameKind {
  readonly name: Expression;
  readonly nodes: readonly SchemaNode[];
}

/** The rules of one schema. */
class SchemaGrammar {
  readonly #prefix: string;
  readonly #automata: Automata;
  readonly #scalars: ScalarRules;
  readonly #alternatives: Alternatives;
  /** Values that a rule is promised for. */
  readonly #promised = new Map<string, readonly SchemaNode[]>();

  /** @param prefix of the rules' names */
  constructor(prefix: string, automata: Automata, scalars: ScalarRules) {
    this.#prefix = prefix;
    this.#automata = automata;
    this.#scalars = scalars;
    this.#alternatives = new Alternatives(automata);
  }

  /** The rules of all values so far, and of the values that those have. */
  rules(): ReadonlyMap<string, Expression> {
    const rules = new Map<string, Expression>();
    for (const [name, nodes] of this.#promised) {
      const alternatives = this.#alternatives.of(nodes);
      const literals = alternatives.flatMap((each) => (each.kind === 'literal' ? [spellJson(each.value)] : []));
      const others = alternatives.flatMap((each) => (each.kind === 'literal' ? [] : [this.#alternative(each, nodes)]));
      rules.set(name, literals.length === 0 ? choice(...others) : choice(anyOf(literals), ...others));
    }
    return rules;
  }

  /** A value that satisfies all of the schemas. */
  value(nodes: readonly SchemaNode[]): Expression {
    if (nodes.length === 0) return rule(JSON_RULES.value);
    const ids = [...new Set(nodes.map(({ id }) => id))].sort((a, b) => a - b);
    const name = `${this.#prefix} ${ids.join(' ')}`;
    this.#automata.spend(WORK_OF_RULE * ids.length);
    this.#promised.set(name, nodes);
    return rule(name);
  }

  #alternative(alternative: Exclude<Alternative, { kind: 'literal' }>, nodes: readonly SchemaNode[]): Expression {
    switch (alternative.kind) {
      case 'null':
        return text('null');
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'number':
      case 'string':
        return this.#scalars.of(alternative);
      case 'array':
        return sequence(text('['), { kind: 'graph', graph: this.#elements(alternative) }, text(']'));
      case 'object':
        return this.#object(alternative, nodes);
    }
  }

  #elements(array: Extract<Alternative, { kind: 'array' }>): ExpressionGraph {
    return arrayGraph(array, (nodes) => this.value(nodes), this.#automata);
  }

  #object(object: ObjectAlternative, nodes: readonly SchemaNode[]): Expression {
    const { parts, required, min } = object;
    const declared = new Set([...parts.flatMap(({ properties }) => [...properties.keys()]), ...required]);
    const own = [...declared].filter((name) => this.#alternatives.admits(object.names, name));
    const others = this.#otherNames(object, [...declared], nodes);
    if (others.length > 0 && min > declared.size + 1) {
      throw unsupported(nodes[0]!.pointer, 'minProperties', 'above the number of named properties and one');
    }
    if (own.length < declared.size && [...required].some((name) => !own.includes(name))) return choice();
    const pairs = own.map((name) => ({
      isRequired: required.has(name),
      pair: sequence(text(`${JSON.stringify(name)}${COLON}`), this.value(this.#alternatives.ofProperty(parts, name))),
    }));
    const other =
      others.length === 0
        ? null
        : choice(...others.map(({ name, nodes: inner }) => sequence(name, text(COLON), this.value(inner))));
    return sequence(
      text('{'),
      { kind: 'graph', graph: propertyGraph(pairs, other, object, this.#automata) },
      text('}'),
    );
  }

  /** Names that are not declared, by which patterns match them. */
  #otherNames(object: ObjectAlternative, declared: readonly string[], nodes: readonly SchemaNode[]): NameKind[] {
    const patterns = object.parts.flatMap((part) => part.patterns.map((pattern) => ({ ...pattern, part })));
    if (patterns.length > MAX_PATTERNS) {
      throw unsupported(
        nodes[0]!.pointer,
        'patternProperties',
        `with more than ${MAX_PATTERNS} patterns for one object`,
      );
    }
    const limits: CharacterAutomaton[] = object.names.map((node) => this.#names(node));
    if (declared.length > 0)
      limits.push(this.#automata.complement(union(declared.map((name) => this.#automata.of(text(name))))));
    const otherwise = patterns.map(({ names }) => this.#automata.complement(names));
    const kinds: NameKind[] = [];
    for (let set = 0; set < 2 ** patterns.length; set++) {
      const isIn = patterns.map((_, i) => ((set >> i) & 1) === 1);
      const languages = [...limits, ...patterns.map(({ names }, i) => (isIn[i] ? names : otherwise[i]!))];
      const matched = patterns.filter((_, i) => isIn[i]);
      const inner = object.parts.flatMap((part) => {
        const own = matched.filter((pattern) => pattern.part === part).map(({ node }) => node);
        return own.length > 0 || part.others === null ? own : [part.others];
      });
      if (inner.length > 0 && this.#alternatives.of(inner).length === 0) continue;
      const name =
        languages.length === 0
          ? rule(JSON_RULES.string)
          : quoted(
              this.#automata,
              languages.reduce((a, b) => this.#automata.intersection(a, b)),
            );
      kinds.push({ name, nodes: inner });
    }
    return kinds;
  }

  /** The names that a schema of names allows. */
  #names(node: SchemaNode): CharacterAutomaton {
    return union(
      this.#alternatives.of([node]).flatMap((alternative) => {
        if (alternative.kind === 'string') return [stringAutomaton(this.#automata, alternative)];
        const isName = alternative.kind === 'literal' && typeof alternative.value === 'string';
        return isName ? [this.#automata.of(text(alternative.value as string))] : [];
      }),
    );
  }
}

/**
 * Properties in order, then others, `min` to `max` in all. Of the others only the first is sure to be another one than
 * all before, as names may come twice: no more of them count towards `min`.
 */
function propertyGraph(
  pairs: readonly { readonly isRequired: boolean; readonly pair: Expression }[],
  other: Expression | null,
  { min, max }: Counts,
  automata: Automata,
): ExpressionGraph {
  const edges: GraphEdge[] = [];
  const accepts: boolean[] = [];
  const nodes = new Map<string, number>();
  /** More than are counted make no difference. */
  const most = max === Number.POSITIVE_INFINITY ? Math.max(min, 1) : max;
  const queue: { at: number; named: number; others: number }[] = [];
  const node = (at: number, named: number, others: number): number => {
    const place = { at, named: Math.min(named, most), others: Math.min(others, most) };
    const key = `${place.at} ${place.named} ${place.others}`;
    let number = nodes.get(key);
    if (number === undefined) {
      number = nodes.size;
      automata.spend(WORK_OF_RULE);
      nodes.set(key, number);
      queue.push(place);
    }
    return number;
  };
  node(0, 0, 0);
  for (const { at, named, others } of queue) {
    const from = node(at, named, others);
    const isFull = max !== Number.POSITIVE_INFINITY && named + others >= max;
    const comma = text(named + others > 0 ? COMMA : '');
    const next = pairs[at];
    accepts.push(next === undefined && named + Math.min(1, others) >= min && named + others <= max);
    if (next === undefined) {
      if (other !== null && !isFull) edges.push({ from, to: node(at, named, others + 1), on: sequence(comma, other) });
      continue;
    }
    if (!isFull) edges.push({ from, to: node(at + 1, named + 1, others), on: sequence(comma, next.pair) });
    if (!next.isRequired) edges.push({ from, to: node(at + 1, named, others), on: text('') });
  }
  return { edges, accepts };
}
