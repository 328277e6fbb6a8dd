import { StarlingError } from '../../../daemon/errors.ts';

/** The metadata of a model file, by key. Getters throw when the key is missing or its value has another type. */
export interface VocabularyMetadata {
  has(key: string): boolean;
  string(key: string): string;
  strings(key: string): readonly string[];
  number(key: string): number;
  numbers(key: string): ArrayLike<number>;
  boolean(key: string): boolean;
}

/** How a BPE vocabulary cuts text before merging; 'none' for SentencePiece, which does not. */
export type Pretokenizer = 'gpt-2' | 'digits-gpt-2' | 'llama-bpe' | 'qwen2' | 'none';

/** A model's vocabulary as its file states it, checked: lengths agree and every id is below `tokens.length`. */
export interface Vocabulary {
  /** tokenizer.ggml.model: 'llama' is SentencePiece BPE with scores, 'gpt2' byte-level BPE with ranked merges. */
  readonly model: 'llama' | 'gpt2';
  readonly pre: Pretokenizer;
  readonly tokens: readonly string[];
  /** One a token; SentencePiece only. */
  readonly scores: Float32Array | null;
  /** ggml's token types, see TokenType; one a token. */
  readonly types: Int32Array | null;
  /** "left right", best first; byte-level BPE only. */
  readonly merges: readonly string[];
  readonly bos: number | null;
  readonly eos: number | null;
  readonly unk: number | null;
  /** Tokens with which an answer is over, as far as the file says so: ends of text, of turn, of message, of code filled in. */
  readonly ends: readonly number[];
  /** Whether the file itself names what ends a text that is filled in. */
  readonly namesInfill: boolean;
  readonly addBos: boolean;
  /** SentencePiece: text at the start, or after a special token, is given a leading space. */
  readonly addSpacePrefix: boolean;
  /** What a user should know about this vocabulary: something had to be guessed. */
  readonly warning: string | null;
}

/** ggml's token types (tokenizer.ggml.token_type). */
export const TokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const MAX_TOKENS = 1_000_000;
const MAX_MERGES = 2_000_000;
/** The longest token of the vocabularies in use has 256 characters; merging costs time in proportion to this. */
const MAX_TOKEN_LENGTH = 4096;
/** 2^32-1 in the file is how converters write "none". */
const NO_TOKEN = 0xffffffff;

/** Keys that name a token with which an answer is over, besides that of the end of text. */
const END_KEYS: readonly string[] = [
  'eot_token_id',
  'eom_token_id',
  'fim_pad_token_id',
  'fim_rep_token_id',
  'fim_sep_token_id',
];

const PRETOKENIZERS = new Map<string, Pretokenizer>([
  ['gpt-2', 'gpt-2'],
  ['llama-bpe', 'llama-bpe'],
  ['llama3', 'llama-bpe'],
  ['llama-v3', 'llama-bpe'],
  ['qwen2', 'qwen2'],
  ['deepseek-r1-qwen', 'qwen2'],
  ['smollm', 'digits-gpt-2'],
  ['starcoder', 'digits-gpt-2'],
]);

/**
 * Reads and checks the `tokenizer.ggml.*` keys.
 * @throws StarlingError model_invalid for missing or contradictory keys, model_unsupported_tokenizer for kinds not known
 */
export function readVocabulary(metadata: VocabularyMetadata): Vocabulary {
  if (!metadata.has('tokenizer.ggml.model')) {
    throw invalid('tokenizer.ggml.model', 'is missing, so the file has no tokenizer');
  }
  const model = metadata.string('tokenizer.ggml.model');
  if (model !== 'llama' && model !== 'gpt2') {
    throw new StarlingError(
      'model_unsupported_tokenizer',
      `the model's tokenizer is of kind '${printable(model)}'; supported are 'llama' (SentencePiece) and 'gpt2' (byte-level BPE)`,
      { param: 'tokenizer.ggml.model' },
    );
  }
  const spm = model === 'llama';
  const { pre, warning } = readPretokenizer(metadata, spm);
  const warnings = warning === null ? [] : [warning];
  const tokens = readTokens(metadata);
  const flag = (name: string, fallback: boolean) =>
    metadata.has(`tokenizer.ggml.${name}`) ? metadata.boolean(`tokenizer.ggml.${name}`) : fallback;
  const id = (name: string, fallback: number | null) => readId(metadata, name, tokens.length, fallback, warnings);
  // llama.cpp's defaults for a SentencePiece file that names none
  const usual = (value: number) => (spm && value < tokens.length ? value : null);
  const eos = id('eos_token_id', usual(2));
  const vocabulary: Vocabulary = {
    model,
    pre,
    tokens,
    scores: spm ? readScores(metadata, tokens.length) : null,
    types: readTypes(metadata, tokens.length),
    merges: spm ? [] : readMerges(metadata),
    bos: id('bos_token_id', usual(1)),
    eos,
    unk: id('unknown_token_id', usual(0)),
    ends: [eos, ...END_KEYS.map((name) => id(name, null)), ...readEndList(metadata, tokens.length, warnings)].filter(
      (end) => end !== null,
    ),
    namesInfill: metadata.has('tokenizer.ggml.fim_pad_token_id'),
    addBos: flag('add_bos_token', spm || pre === 'llama-bpe'),
    addSpacePrefix: spm && flag('add_space_prefix', true),
    warning: warnings.length === 0 ? null : warnings.join('; '),
  };
  if (vocabulary.addBos && vocabulary.bos === null && !metadata.has('tokenizer.ggml.bos_token_id')) {
    throw invalid('tokenizer.ggml.bos_token_id', 'is missing though the model wants every text to begin with it');
  }
  return vocabulary;
}

function readPretokenizer(metadata: VocabularyMetadata, spm: boolean): { pre: Pretokenizer; warning: string | null } {
  // llama.cpp does not look at the key of SentencePiece files either
  if (spm) return { pre: 'none', warning: null };
  const name = metadata.has('tokenizer.ggml.pre') ? metadata.string('tokenizer.ggml.pre') : '';
  if (name === 'default' || name === '') {
    const stated = name === '' ? 'missing' : `'${name}'`;
    return {
      pre: 'gpt-2',
      warning: `the model file does not say how its tokenizer cuts text (tokenizer.ggml.pre is ${stated}); GPT-2's rules are used, and answers may suffer: convert the model again with a current tool`,
    };
  }
  const pre = PRETOKENIZERS.get(name);
  if (pre === undefined) {
    throw new StarlingError(
      'model_unsupported_tokenizer',
      `the model's pre-tokenizer is '${printable(name)}'; supported are ${[...PRETOKENIZERS.keys()].join(', ')}`,
      { param: 'tokenizer.ggml.pre' },
    );
  }
  return { pre, warning: null };
}

function readTokens(metadata: VocabularyMetadata): readonly string[] {
  const key = 'tokenizer.ggml.tokens';
  if (!metadata.has(key)) throw invalid(key, 'is missing');
  const tokens = metadata.strings(key);
  if (tokens.length === 0 || tokens.length > MAX_TOKENS) {
    throw invalid(key, `has ${tokens.length} entries; 1 to ${MAX_TOKENS} are possible`);
  }
  const tooLong = tokens.findIndex((token) => token.length > MAX_TOKEN_LENGTH);
  if (tooLong >= 0) throw invalid(key, `entry ${tooLong} is longer than ${MAX_TOKEN_LENGTH} characters`);
  return tokens;
}

function readScores(metadata: VocabularyMetadata, count: number): Float32Array {
  const key = 'tokenizer.ggml.scores';
  // As in llama.cpp: all alike, so that of possible merges the first is made.
  if (!metadata.has(key)) return new Float32Array(count);
  const scores = Float32Array.from(metadata.numbers(key)).subarray(0, count);
  if (scores.length < count) throw invalid(key, `has ${scores.length} entries for ${count} tokens`);
  const bad = scores.findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) throw invalid(key, `entry ${bad} is not a finite number`);
  return scores;
}

function readTypes(metadata: VocabularyMetadata, count: number): Int32Array | null {
  const key = 'tokenizer.ggml.token_type';
  if (!metadata.has(key)) return null;
  const types = Int32Array.from(metadata.numbers(key)).subarray(0, count);
  if (types.length < count) throw invalid(key, `has ${types.length} entries for ${count} tokens`);
  return types;
}

function readMerges(metadata: VocabularyMetadata): readonly string[] {
  const key = 'tokenizer.ggml.merges';
  if (!metadata.has(key)) throw invalid(key, 'is missing, and a byte-level BPE vocabulary cannot do without');
  const merges = metadata.strings(key);
  if (merges.length > MAX_MERGES)
    throw invalid(key, `has ${merges.length} entries; at most ${MAX_MERGES} are possible`);
  const tooLong = merges.findIndex((merge) => merge.length > 2 * MAX_TOKEN_LENGTH);
  if (tooLong >= 0) throw invalid(key, `entry ${tooLong} is too long`);
  // What is not two pieces merges nothing, and is passed over, as in llama.cpp.
  return merges.filter((merge) => {
    const space = merge.indexOf(' ', 1);
    return space > 0 && space < merge.length - 1;
  });
}

/** An id that is no token is passed over with a warning, as in llama.cpp: files have it in keys that their model does not use. */
function readId(
  metadata: VocabularyMetadata,
  name: string,
  count: number,
  fallback: number | null,
  warnings: string[],
): number | null {
  const key = `tokenizer.ggml.${name}`;
  if (!metadata.has(key)) return fallback;
  const id = metadata.number(key);
  if (id === NO_TOKEN || id === -1) return fallback;
  if (Number.isInteger(id) && id >= 0 && id < count) return id;
  warnings.push(`${key} is ${id}, but there are ${count} tokens: ${fallback === null ? 'none' : fallback} is used`);
  return fallback;
}

/** Further ends of text, for models that have several. */
function readEndList(metadata: VocabularyMetadata, count: number, warnings: string[]): number[] {
  const key = 'tokenizer.ggml.eos_token_ids';
  if (!metadata.has(key)) return [];
  const ids = Array.from(metadata.numbers(key));
  const isToken = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < count;
  const bad = ids.find((id) => !isToken(id));
  if (bad !== undefined) warnings.push(`${key} has ${bad}, but there are ${count} tokens: it is left out`);
  return ids.filter(isToken);
}

function invalid(key: string, problem: string): StarlingError {
  return new StarlingError('model_invalid', `${key} ${problem}; the model file is damaged or badly converted`, {
    param: key,
  });
}

/** Text of a file as it may be shown in a message: short and without control characters. */
function printable(text: string): string {
  return text.slice(0, 40).replace(/\p{C}/gu, '?');
}
