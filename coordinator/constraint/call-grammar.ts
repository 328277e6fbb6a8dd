import { StarlingError } from '../../daemon/errors.ts';
import {
  characters,
  choice,
  type Expression,
  type Grammar,
  type GraphEdge,
  otherCharacters,
  repeat,
  rule,
  sequence,
  text,
} from './expression.ts';
import { JSON_RULES, type Json } from './json-grammar.ts';
import { SchemaRules } from './schema/schema-grammar.ts';

/** One of the calls that may be made: `prefix`, arguments by the schema, `suffix`. */
export interface ConstrainedCall {
  readonly name: string;
  readonly prefix: string;
  /** JSON schema of the arguments, as the client gave it. */
  readonly schema: Readonly<Record<string, unknown>>;
  readonly suffix: string;
}

/**
 * What an answer has to look like for its calls to be valid, after any reasoning. Calls are `before`, one or more of
 * `calls` with `separator` between them, `after`; then the answer ends. Texts may hold marks that are control tokens:
 * they are to be encoded with these recognised.
 */
export interface CallConstraint {
  /**
   * The answer is calls, with `lead` in front of them. Otherwise it is free until it comes to the trigger, or begins
   * with the opening.
   */
  readonly required: boolean;
  /** In channels, after reasoning, the header `<|start|>assistant` comes before it. */
  readonly lead: string;
  readonly trigger: string | null;
  /** The beginning of calls that stand at the start of an answer without the trigger; part of their text. */
  readonly opening: string | null;
  readonly before: string;
  readonly calls: readonly ConstrainedCall[];
  /** Null for one call only. */
  readonly separator: string | null;
  readonly after: string;
}

/**
 * The answers that keep to a constraint: calls; calls or what `otherwise` allows; or, where there is none, free text,
 * with calls once it comes to the trigger.
 * @throws StarlingError as SchemaRules.add, where calls are required; otherwise the arguments of a call whose schema
 * cannot be kept to are any object
 */
export function callGrammar(constraint: CallConstraint, otherwise: Grammar | null): Grammar {
  // One for all: hundreds of tools are to be done within the work of one schema.
  const schemas = new SchemaRules();
  const call = choice(
    ...constraint.calls.map((each) => {
      const given = callArguments(each, constraint.required, schemas);
      return sequence(text(each.prefix), given, text(each.suffix));
    }),
  );
  const { lead, trigger, before, separator, after } = constraint;
  const more = separator === null ? text('') : repeat(sequence(text(separator), call), 0, Number.POSITIVE_INFINITY);
  const calls = sequence(text(before), call, more, text(after));
  const atOnce = sequence(text(lead), calls);
  const { rules } = schemas;
  if (otherwise === null) {
    const free = trigger === null ? atOnce : freeUntil(trigger, calls);
    return { rules: rules.set('root', constraint.required ? atOnce : free), root: 'root' };
  }
  const prefix = 'otherwise ';
  for (const [name, expression] of otherwise.rules) rules.set(prefix + name, renamed(expression, prefix));
  return { rules: rules.set('root', choice(atOnce, rule(prefix + otherwise.root))), root: 'root' };
}

function callArguments({ name, schema }: ConstrainedCall, isRequired: boolean, schemas: SchemaRules): Expression {
  try {
    // Arguments are an object, whether the schema says so or not.
    return schemas.add({ ...(schema as Readonly<Record<string, Json>>), type: 'object' });
  } catch (error) {
    if (!(error instanceof StarlingError)) throw error;
    if (!isRequired) return rule(JSON_RULES.object);
    throw new StarlingError(error.code, `the parameters of the tool '${name}': ${error.message}`, { param: 'tools' });
  }
}

/**
 * Any text without the trigger; or up to it, and then the rest. A node counts the characters of the trigger that the
 * text ends with.
 */
function freeUntil(trigger: string, rest: Expression): Expression {
  const all = [...trigger];
  const edges: GraphEdge[] = [{ from: all.length, to: all.length + 1, on: rest }];
  for (let from = 0; from < all.length; from++) {
    const onward = [...new Set(all)].filter((character) => matched(all, [...all.slice(0, from), character]) > 0);
    for (const character of onward)
      edges.push({ from, to: matched(all, [...all.slice(0, from), character]), on: text(character) });
    const others = otherCharacters(onward.map((character) => [character.codePointAt(0)!, character.codePointAt(0)!]));
    edges.push({ from, to: 0, on: characters(...others) });
  }
  return { kind: 'graph', graph: { edges, accepts: [...all.map(() => true), false, true] } };
}

/** How many characters of the trigger a text ends with. */
function matched(trigger: readonly string[], ending: readonly string[]): number {
  let length = ending.length;
  while (length > 0 && !ending.slice(-length).every((character, i) => character === trigger[i])) length--;
  return length;
}

/** The same expression with other names of rules. */
function renamed(expression: Expression, prefix: string): Expression {
  const inner = (each: Expression): Expression => renamed(each, prefix);
  switch (expression.kind) {
    case 'text':
    case 'characters':
      return expression;
    case 'sequence':
      return sequence(...expression.parts.map(inner));
    case 'choice':
      return choice(...expression.options.map(inner));
    case 'repeat':
      return repeat(inner(expression.of), expression.min, expression.max);
    case 'rule':
      return rule(prefix + expression.name);
    case 'graph': {
      const edges = expression.graph.edges.map((edge) => ({ ...edge, on: inner(edge.on) }));
      return { kind: 'graph', graph: { ...expression.graph, edges } };
    }
  }
}
