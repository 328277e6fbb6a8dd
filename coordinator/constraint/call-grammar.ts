import { StarlingError } from '../../daemon/errors.ts';
import { choice, type Expression, type Grammar, optional, repeat, rule, sequence, text } from './expression.ts';
import { BEYOND_ASCII, beyondAscii, freeUntil, type Opening } from './free-until.ts';
import { ANY_JSON, COMMA, JSON_RULES, type Json } from './json-grammar.ts';
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
   * The answer is calls, with `lead` in front of them. Otherwise it is free until it comes to the trigger, or to an
   * opening.
   */
  readonly required: boolean;
  readonly lead: string;
  readonly trigger: string | null;
  /**
   * Beginnings of the first call, up to the name, and of a list of calls after `[`: at the start of an answer, or of a
   * code block. The first of them is the beginning of each prefix.
   */
  readonly openings: readonly string[];
  /** Texts that begin such a code block, and the one that may end it; null where none does. */
  readonly fences: { readonly begin: readonly string[]; readonly end: string } | null;
  readonly before: string;
  readonly calls: readonly ConstrainedCall[];
  /** Null for one call only. */
  readonly separator: string | null;
  readonly after: string;
}

/** A call, and what its arguments are. */
type GivenCall = ConstrainedCall & { readonly given: Expression };

/**
 * The answers that keep to a constraint: calls; calls or what `otherwise` allows; or, where there is none, free text,
 * with calls once it comes to the trigger or an opening.
 * @throws StarlingError as SchemaRules.add, where calls are required; otherwise the arguments of a call whose schema
 * cannot be kept to are any object
 */
export function callGrammar(constraint: CallConstraint, otherwise: Grammar | null): Grammar {
  const { required, lead, trigger, openings, fences, before, separator, after } = constraint;
  const { calls, rules } = spelledCalls(constraint.calls, required);
  rules.set(BEYOND_ASCII, beyondAscii);
  rules.set('call', choice(...calls.map(({ prefix, given, suffix }) => sequence(text(prefix), given, text(suffix)))));
  const more = (comma: string | null): Expression =>
    comma === null ? text('') : repeat(sequence(text(comma), rule('call')), 0, Number.POSITIVE_INFINITY);
  rules.set('calls', sequence(text(before), rule('call'), more(separator), text(after)));
  const atOnce = sequence(text(lead), rule('calls'));
  if (required) rules.set('root', atOnce);
  else if (otherwise !== null) rules.set('root', choice(atOnce, include(rules, otherwise, 'otherwise ')));
  else {
    const fenceEnd = optional(text(fences?.end ?? ''));
    rules.set('end of calls', sequence(more(separator), text(after), fenceEnd));
    rules.set('end of list', sequence(more(separator === null ? null : COMMA), text(']'), fenceEnd));
    rules.set(
      'root',
      freeUntil({
        trigger: trigger === null ? null : { text: trigger, rest: rule('calls') },
        openings: openingsOf(openings, calls),
        fences: fences?.begin ?? [],
      }),
    );
  }
  return { rules, root: 'root' };
}

/** The openings of one call, or of the first of some, and those of a list in brackets. */
function openingsOf(texts: readonly string[], calls: readonly GivenCall[]): Opening[] {
  const [usual] = texts;
  if (usual === undefined) return [];
  const begins = texts.map((opening) => opening.replaceAll(' ', ''));
  const restsBefore = (ending: string): ReadonlyMap<string, Expression> =>
    new Map(
      calls.map(({ name, prefix, given, suffix }) => {
        const afterName = text(prefix.slice(`${usual}${name}"`.length));
        return [name, sequence(afterName, given, text(suffix), rule(ending))];
      }),
    );
  return [
    { begins, rests: restsBefore('end of calls') },
    { begins: begins.map((begin) => `[${begin}`), rests: restsBefore('end of list') },
  ];
}

/**
 * Calls with what their arguments may be.
 * @returns the calls, with `given` for the arguments, which are by these rules
 * @throws StarlingError as callGrammar
 */
export function spelledCalls(
  calls: readonly ConstrainedCall[],
  areRequired: boolean,
): { readonly calls: readonly GivenCall[]; readonly rules: Map<string, Expression> } {
  // One for all: hundreds of tools are to be done within the work of one schema.
  const schemas = new SchemaRules();
  const spelled = calls.map((call) => ({ ...call, given: callArguments(call, areRequired, schemas) }));
  return { calls: spelled, rules: schemas.rules };
}

/**
 * Adds the rules of a grammar, with a prefix to their names; those of any JSON are there once.
 * @returns what its root takes
 */
export function include(rules: Map<string, Expression>, grammar: Grammar, prefix: string): Expression {
  const newName = (name: string): string => {
    const isShared = ANY_JSON.has(name) && ANY_JSON.get(name) === grammar.rules.get(name);
    return isShared ? name : prefix + name;
  };
  for (const [name, expression] of grammar.rules) {
    const added = newName(name);
    rules.set(added, added === name ? expression : renamed(expression, newName));
  }
  return rule(newName(grammar.root));
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

/** The same expression with other names of rules. */
function renamed(expression: Expression, newName: (name: string) => string): Expression {
  const inner = (each: Expression): Expression => renamed(each, newName);
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
      return rule(newName(expression.name));
    case 'graph': {
      const edges = expression.graph.edges.map((edge) => ({ ...edge, on: inner(edge.on) }));
      return { kind: 'graph', graph: { ...expression.graph, edges } };
    }
  }
}
