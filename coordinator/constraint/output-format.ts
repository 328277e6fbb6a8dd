import { StarlingError } from '../../daemon/errors.ts';
import { type CallConstraint, callGrammar } from './call-grammar.ts';
import { type ChannelConstraint, channelGrammar } from './channel-grammar.ts';
import { anyOf, type Expression, type Grammar } from './expression.ts';
import { parseGbnf } from './gbnf.ts';
import { type Json, jsonObjectGrammar } from './json-grammar.ts';
import { wholeMatch } from './regex.ts';
import { schemaGrammar } from './schema/schema-grammar.ts';

/** What a text must look like as a whole. */
export type OutputFormat =
  | { readonly kind: 'json-object' }
  | { readonly kind: 'json-schema'; readonly schema: Json }
  | { readonly kind: 'gbnf'; readonly grammar: string }
  | { readonly kind: 'regex'; readonly pattern: string }
  | { readonly kind: 'choice'; readonly options: readonly string[] }
  /** Calls of tools, or where they need not be made, what else the answer may be: anything for null. */
  | { readonly kind: 'calls'; readonly constraint: CallConstraint; readonly otherwise: OutputFormat | null }
  /** Messages in channels, the last of which is a call, or an answer of this format: anything for null. */
  | { readonly kind: 'channels'; readonly constraint: ChannelConstraint; readonly answer: OutputFormat | null };

const MAX_OPTIONS = 10_000;

/**
 * The grammar of a format.
 * @throws StarlingError invalid_request; unsupported_parameter, with the name of what is not supported
 */
export function formatGrammar(format: OutputFormat): Grammar {
  switch (format.kind) {
    case 'json-object':
      return jsonObjectGrammar();
    case 'json-schema':
      return schemaGrammar(format.schema);
    case 'gbnf':
      return parseGbnf(format.grammar);
    case 'regex':
      return ofOneRule(wholeMatch(format.pattern));
    case 'choice':
      if (format.options.length === 0 || format.options.length > MAX_OPTIONS) {
        throw invalidFormat(`there are ${format.options.length} options; 1 to ${MAX_OPTIONS} are possible`);
      }
      return ofOneRule(anyOf(format.options));
    case 'calls':
      return callGrammar(format.constraint, format.otherwise === null ? null : formatGrammar(format.otherwise));
    case 'channels':
      return channelGrammar(format.constraint, format.answer === null ? null : formatGrammar(format.answer));
  }
}

function ofOneRule(expression: Expression): Grammar {
  return { rules: new Map([['root', expression]]), root: 'root' };
}

export function invalidFormat(problem: string): StarlingError {
  return new StarlingError('invalid_request', `the format of the output cannot be used: ${problem}`);
}
