import { StarlingError } from '../../../daemon/errors.ts';
import { INFILL_KEYS, INFILL_ROLES, type InfillRole } from './infill-tokens.ts';
import { PRETOKENIZER_NAMES, type Pretokenizer, pretokenizerNamed } from './pretokenizers.ts';

/** The metadata of a model file, by key. Getters throw when the key is missing or its value has another type. */
export interface VocabularyMetadata {
  has(key: string): boolean;
  string(key: string): string;
  strings(key: string): readonly string[];
  number(key: string): number;
  numbers(key: string): ArrayLike<number>;
  boolean(key: string): boolean;
}

/** A model's vocabulary as its file states it, checked: lengths agree and every id is below `tokens.length`. */
export interface Vocabulary {
  /** tokenizer.ggml.model, see KINDS. */
  readonly model: TokenizerModel;
  /** Byte-level BPE only. */
  readonly pre: Pretokenizer | null;
  readonly tokens: readonly string[];
  /** One a token; not for byte-level BPE. */
  readonly scores: Float32Array | null;
  /** ggml's token types, see TokenType; one a token. */
  readonly types: Int32Array | null;
  /** "left right", best first; byte-level BPE only. */
  readonly merges: readonly string[];
  readonly bos: number | null;
  readonly eos: number | null;
  readonly unk: number | null;
  /**
   * Tokens with which an answer is over, as far as the file says so: ends of text, of turn, of message, of code filled
   * in.
   */
  readonly ends: readonly number[];
  /** Tokens for infill, as far as the file names them. */
  readonly infill: Readonly<Record<InfillRole, number | null>>;
  /** Whether the file itself names what ends a text that is filled in. */
  readonly namesInfill: boolean;
  readonly addBos: boolean;
  /** SentencePiece: text at the start, or after a special token, is given a leading space. */
  readonly addSpacePrefix: boolean;
  /** SentencePiece: white space after a special token goes. */
  readonly stripsAfterSpecial: boolean;
  /** Unigram: runs of spaces are one, and none is at the end. */
  readonly removeExtraSpaces: boolean;
  /** Unigram: compiled rules of normalisation, see CharacterMap. */
  readonly characterMap: Uint8Array | null;
  /** What a user should know about this vocabulary: something had to be guessed. */
  readonly warning: string | null;
}

/** What is known of `tokenizer.ggml.model`. Defaults of ids and flags are llama.cpp's. */
const KINDS = {
  /** SentencePiece BPE: merges by score. */
  llama: { title: 'SentencePiece', bos: 1, eos: 2, unk: 0, addBos: true, addSpacePrefix: true },
  /** Byte-level BPE: ranked merges. */
  gpt2: { title: 'byte-level BPE', bos: null, eos: null, unk: null, addBos: false, addSpacePrefix: false },
  /** SentencePiece Unigram. */
  t5: { title: 'SentencePiece Unigram', bos: null, eos: 1, unk: 2, addBos: false, addSpacePrefix: false },
} as const;

export type TokenizerModel = keyof typeof KINDS;

/** ggml's token types (tokenizer.ggml.token_type). */
export const TokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const MAX_TOKENS = 1_000_000;
const MAX_MERGES = 2_000_000;
/** The longest token of the vocabularies in use has 256 characters; merging costs time in proportion to this. */
const MAX_TOKEN_LENGTH = 4096;
/** 2^32-1 in the file is how converters write "none". */
const NO_TOKEN = 0xffffffff;

const CHARACTER_MAP = 'tokenizer.ggml.precompiled_charsmap';

/** Keys that name a token with which an answer is over, besides that of the end of text. */
const END_KEYS: readonly string[] = ['eot_token_id', 'eom_token_id', 'fim_pad_token_id'];

/**
 * Reads and checks the `tokenizer.ggml.*` keys.
 * @throws StarlingError model_invalid for missing or contradictory keys, model_unsupported_tokenizer for kinds not
 * known
 */
export function readVocabulary(metadata: VocabularyMetadata): Vocabulary {
  if (!metadata.has('tokenizer.ggml.model')) {
    throw invalid('tokenizer.ggml.model', 'is missing, so the file has no tokenizer');
  }
  const model = metadata.string('tokenizer.ggml.model');
  if (!isKnownModel(model)) {
    const known = Object.entries(KINDS).map(([name, { title }]) => `'${name}' (${title})`);
    throw new StarlingError(
      'model_unsupported_tokenizer',
      `the model's tokenizer is of kind '${printable(model)}'; supported are ${known.join(', ')}`,
      { param: 'tokenizer.ggml.model' },
    );
  }
  const kind = KINDS[model];
  const warnings: string[] = [];
  const pre = model === 'gpt2' ? readPretokenizer(metadata, warnings) : null;
  const tokens = readTokens(metadata);
  const flag = (name: string, fallback: boolean) =>
    metadata.has(`tokenizer.ggml.${name}`) ? metadata.boolean(`tokenizer.ggml.${name}`) : fallback;
  const id = (name: string, fallback: number | null) => readId(metadata, name, tokens.length, fallback, warnings);
  const usual = (value: number | null) => (value !== null && value < tokens.length ? value : null);
  const eos = id('eos_token_id', usual(kind.eos));
  const infill = readInfill((name) => id(name, null));
  const vocabulary: Vocabulary = {
    model,
    pre,
    tokens,
    scores: model === 'gpt2' ? null : readScores(metadata, tokens.length),
    types: readTypes(metadata, tokens.length),
    merges: model === 'gpt2' ? readMerges(metadata) : [],
    bos: id('bos_token_id', usual(kind.bos)),
    eos,
    unk: id('unknown_token_id', usual(kind.unk)),
    ends: [
      eos,
      ...END_KEYS.map((name) => id(name, null)),
      // A model that begins another file is done with the one that it fills in.
      infill.repository,
      infill.file,
      ...readEndList(metadata, tokens.length, warnings),
    ].filter((end) => end !== null),
    infill,
    namesInfill: metadata.has('tokenizer.ggml.fim_pad_token_id'),
    addBos: flag('add_bos_token', pre?.addBos ?? kind.addBos),
    addSpacePrefix: model !== 'gpt2' && flag('add_space_prefix', kind.addSpacePrefix),
    stripsAfterSpecial: model === 'llama' && isPhi3(metadata),
    removeExtraSpaces: model === 't5' && flag('remove_extra_whitespaces', false),
    characterMap:
      model === 't5' && metadata.has(CHARACTER_MAP) ? Uint8Array.from(metadata.numbers(CHARACTER_MAP)) : null,
    warning: warnings.length === 0 ? null : warnings.join('; '),
  };
  if (vocabulary.addBos && vocabulary.bos === null && !metadata.has('tokenizer.ggml.bos_token_id')) {
    throw invalid('tokenizer.ggml.bos_token_id', 'is missing though the model wants every text to begin with it');
  }
  return vocabulary;
}

function isKnownModel(name: string): name is TokenizerModel {
  return Object.hasOwn(KINDS, name);
}

function readPretokenizer(metadata: VocabularyMetadata, warnings: string[]): Pretokenizer {
  const name = metadata.has('tokenizer.ggml.pre') ? metadata.string('tokenizer.ggml.pre') : '';
  const pre = pretokenizerNamed(name === '' ? 'default' : name);
  if (pre === null) {
    throw new StarlingError(
      'model_unsupported_tokenizer',
      `the model's pre-tokenizer is '${printable(name)}'; supported are ${PRETOKENIZER_NAMES.join(', ')}`,
      { param: 'tokenizer.ggml.pre' },
    );
  }
  if (name === '' || name === 'default') {
    const stated = name === '' ? 'missing' : `'${name}'`;
    warnings.push(
      `the model file does not say how its tokenizer cuts text (tokenizer.ggml.pre is ${stated}); general rules are used, and answers may suffer: convert the model again with a current tool`,
    );
  }
  return pre;
}

/** Files do not say that Phi-3's special tokens take the white space after them; llama.cpp goes by the name as well. */
function isPhi3(metadata: VocabularyMetadata): boolean {
  const value = (key: string): string => (metadata.has(key) ? metadata.string(key) : '');
  return value('general.architecture') === 'phi3' || /phi-?3/i.test(value('general.name'));
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

/**
 * An id that is no token is passed over with a warning, as in llama.cpp: files have it in keys that their model does
 * not use.
 */
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

function readInfill(id: (name: string) => number | null): Vocabulary['infill'] {
  const named = INFILL_ROLES.map((role) => [role, INFILL_KEYS[role].map(id).find((each) => each !== null) ?? null]);
  return Object.fromEntries(named) as Record<InfillRole, number | null>;
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
