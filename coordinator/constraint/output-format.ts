import { StarlingError } from '../../daemon/errors.ts';
import { type CallConstraint, callGrammar } from './call-grammar.ts';
import { type ChannelConstraint, channelGrammar } from './channel-grammar.ts';
import { Constraint } from './constraint.ts';
import { anyOf, type Expression, type Grammar } from './expression.ts';
import { parseGbnf } from './gbnf.ts';
import { type Json, jsonObjectGrammar } from './json-grammar.ts';
import { wholeMatch } from './regex.ts';
import { schemaGrammar } from './schema/schema-grammar.ts';
import { type TokenSource, VocabularyIndex } from './vocabulary-index.ts';

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

const MAX_SCHEMA = 1024 * 1024;
const MAX_OPTIONS = 10_000;
/** Formats that are kept for later requests, with all that was found out about them. */
const MAX_KEPT = 8;

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
        throw invalid(`there are ${format.options.length} options; 1 to ${MAX_OPTIONS} are possible`);
      }
      return ofOneRule(anyOf(format.options));
    case 'calls':
      return callGrammar(format.constraint, format.otherwise === null ? null : formatGrammar(format.otherwise));
    case 'channels':
      return channelGrammar(format.constraint, format.answer === null ? null : formatGrammar(format.answer));
  }
}

/** The constraints of one vocabulary, made as they are asked for. */
export class OutputFormats {
  readonly #source: TokenSource;
  readonly #vocabSize: number;
  #vocabulary: VocabularyIndex | null = null;
  /** The one used longest ago is first. */
  readonly #kept = new Map<string, Constraint>();

  constructor(source: TokenSource, vocabSize: number) {
    this.#source = source;
    this.#vocabSize = vocabSize;
  }

  /**
   * The constraint of a text that is to begin.
   * @throws StarlingError as formatGrammar and Constraint.of
   */
  constraint(format: OutputFormat): Constraint {
    const key = JSON.stringify(format);
    if (key.length > MAX_SCHEMA) throw invalid(`it is longer than ${MAX_SCHEMA} characters`);
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    const constraint = known?.isWorn === false ? known : this.#make(format);
    this.#kept.set(key, constraint);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT) break;
      this.#kept.delete(oldest);
    }
    return constraint;
  }

  #make(format: OutputFormat): Constraint {
    const grammar = formatGrammar(format);
    this.#vocabulary ??= new VocabularyIndex(this.#source, this.#vocabSize);
    return Constraint.of(grammar, this.#source, this.#vocabulary);
  }
}

function ofOneRule(expression: Expression): Grammar {
  return { rules: new Map([['root', expression]]), root: 'root' };
}

function invalid(problem: string): StarlingError {
  return new StarlingError('invalid_request', `the format of the output cannot be used: ${problem}`);
}
