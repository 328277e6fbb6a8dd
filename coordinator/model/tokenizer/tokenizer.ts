import { REASONING_MARKS } from '../reasoning-marks.ts';
import { bytesOfPiece } from './byte-alphabet.ts';
import { BytePairEncoder } from './byte-pair-encoder.ts';
import { type KnownTokens, knownTokens } from './known-tokens.ts';
import { SentencePieceEncoder, SPACE_MARK } from './sentencepiece-encoder.ts';
import { type SpecialToken, SpecialTokens, type TextRange } from './special-tokens.ts';
import { UnigramEncoder } from './unigram-encoder.ts';
import { TokenType, type Vocabulary } from './vocabulary.ts';

export interface EncodeOptions {
  /** Begin with BOS where the model's own flags ask for it. An end is never added: prompts are to be continued. */
  readonly addSpecial: boolean;
  /** Recognise control tokens written out in the text, such as `<|user|>`: for rendered templates. */
  readonly parseSpecial: boolean;
  /** What users wrote of the text: a control token that has any of it stays text. */
  readonly typed?: readonly TextRange[];
}

/**
 * Text to token ids and back, as llama.cpp does it for the same model file; where a file's model is known to have a
 * tokenizer of its own that differs, as that does.
 */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly bos: SpecialToken | null;
  readonly eos: SpecialToken | null;
  /** Text at the start of a sequence was given a leading space, which a decoder takes away again. */
  readonly addsSpacePrefix: boolean;
  /** Ids of a text. Lone surrogates count as U+FFFD. Time is in proportion to n log n, whatever the text. */
  encode(text: string, options: EncodeOptions): number[];
  /**
   * The bytes a token stands for; they need not be whole characters. Control tokens and ids outside the vocabulary are
   * empty, control tokens their own text if `special`.
   */
  pieceBytes(token: number, special?: boolean): Uint8Array;
  /** Whether a model that samples this token has finished its answer. */
  isEndOfGeneration(token: number): boolean;
  isControl(token: number): boolean;
  /** Id of the token with exactly this text, as written in the vocabulary, or null. */
  tokenId(text: string): number | null;
}

const EMPTY = new Uint8Array(0);

/**
 * Builds the tokenizer of a vocabulary; 150,000 tokens take about 0.2 s.
 * @throws StarlingError model_invalid when the vocabulary cannot write every text
 */
export function createTokenizer(vocabulary: Vocabulary): Tokenizer {
  const { tokens, bos, eos, addBos, addSpacePrefix, removeExtraSpaces } = vocabulary;
  const isByteLevel = vocabulary.pre !== null;
  const ids = new Map<string, number>();
  for (let id = 0; id < tokens.length; id++) if (tokens[id] !== '') ids.set(tokens[id] as string, id);
  const known = knownTokens((text) => ids.get(text) ?? null, vocabulary.namesInfill);
  const types = effectiveTypes(vocabulary, known);
  const ends = new Set([...known.ends, ...vocabulary.ends.filter((id) => !known.notEnds.has(id))]);
  const encodeFragment = fragmentEncoder(vocabulary, ids, types);
  const special = specialTokens(vocabulary, types);
  const allSpecial = new SpecialTokens(special);
  const userDefined = new SpecialTokens(special.filter(({ id }) => types[id] === TokenType.userDefined));
  const named = (id: number | null): SpecialToken | null => (id === null ? null : { id, text: tokens[id] as string });
  const isControl = (token: number): boolean =>
    types[token] === TokenType.control || types[token] === TokenType.unknown;

  return {
    vocabSize: tokens.length,
    bos: named(bos),
    eos: named(eos),
    addsSpacePrefix: addSpacePrefix || removeExtraSpaces,
    isControl,
    isEndOfGeneration: (token) => ends.has(token),
    tokenId: (text) => ids.get(text) ?? null,
    encode(text, { addSpecial, parseSpecial, typed = [] }) {
      const out: number[] = [];
      if (addSpecial && addBos && bos !== null) out.push(bos);
      let afterSpecial = true;
      for (const fragment of (parseSpecial ? allSpecial : userDefined).partition(wellFormed(text), typed)) {
        if (typeof fragment === 'number') {
          out.push(fragment);
        } else {
          encodeFragment(fragment, afterSpecial, out);
        }
        afterSpecial = typeof fragment === 'number';
      }
      return out;
    },
    pieceBytes(token, showSpecial = false) {
      const text = tokens[token];
      if (text === undefined) return EMPTY;
      switch (types[token]) {
        case TokenType.control:
        case TokenType.unknown:
          return showSpecial ? Buffer.from(text, 'utf8') : EMPTY;
        case TokenType.userDefined:
          return Buffer.from(text, 'utf8');
        case TokenType.normal:
          return isByteLevel ? bytesOfPiece(text) : Buffer.from(text.replaceAll(SPACE_MARK, ' '), 'utf8');
        case TokenType.byte:
          return isByteLevel ? EMPTY : byteOf(text);
        default:
          return EMPTY;
      }
    },
  };
}

/**
 * Appends the ids of a run of text without special tokens; `afterSpecial`: nothing, or a special token, is before it.
 */
type EncodeFragment = (text: string, afterSpecial: boolean, out: number[]) => void;

function fragmentEncoder(vocabulary: Vocabulary, ids: ReadonlyMap<string, number>, types: Uint8Array): EncodeFragment {
  const { model, pre, addSpacePrefix } = vocabulary;
  if (pre !== null) {
    const encoder = new BytePairEncoder(vocabulary, pre, ids);
    return (text, _, out) => encoder.encode(text, out);
  }
  if (model === 't5') {
    const encoder = new UnigramEncoder(vocabulary, types);
    return (text, _, out) => encoder.encode(text, addSpacePrefix, out);
  }
  const encoder = new SentencePieceEncoder(vocabulary, ids);
  return (text, afterSpecial, out) => encoder.encode(addSpacePrefix && afterSpecial ? ` ${text}` : text, out);
}

/** The file's types, but those of known tokens; `normal` where the file has none. */
function effectiveTypes({ tokens, types }: Vocabulary, { control, shown }: KnownTokens): Uint8Array {
  const effective = new Uint8Array(tokens.length).fill(TokenType.normal);
  for (let id = 0; id < tokens.length; id++) {
    const type = types?.[id];
    if (shown.has(id)) effective[id] = TokenType.userDefined;
    else if (control.has(id)) effective[id] = TokenType.control;
    else if (type !== undefined)
      effective[id] = type >= TokenType.normal && type <= TokenType.byte ? type : TokenType.unused;
  }
  return effective;
}

/** Some converters mark what stands between turns as text that a user has defined; the marks of reasoning often are. */
const MARKER = /^<[|｜].*[|｜]>$/s;

/** Tokens after which Phi-3 keeps white space; it marks code and beginnings as well. */
const KEEPING_SPACE: readonly string[] = ['<unk>', '<s>', '<|endoftext|>'];

/**
 * What is looked for in text. Of user-defined tokens only markers are guarded: others, such as runs of spaces, are
 * text.
 */
function specialTokens({ tokens, types, stripsAfterSpecial }: Vocabulary, effective: Uint8Array): SpecialToken[] {
  const wanted: readonly number[] = [TokenType.control, TokenType.userDefined, TokenType.unknown];
  const isText = (id: number, text: string): boolean =>
    effective[id] === TokenType.userDefined &&
    types?.[id] !== TokenType.control &&
    !MARKER.test(text) &&
    !REASONING_MARKS.includes(text);
  return tokens
    .map((text, id) => ({
      id,
      text,
      guarded: !isText(id, text),
      stripsAfter: stripsAfterSpecial && !KEEPING_SPACE.includes(text),
    }))
    .filter(({ id, text }) => text !== '' && wanted.includes(effective[id] as number));
}

/** The byte of a token written as <0x41>. */
function byteOf(text: string): Uint8Array {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
  return hex === undefined ? EMPTY : Uint8Array.of(Number.parseInt(hex, 16));
}

/** UTF-16 without lone surrogates: each becomes U+FFFD, as in the encoding to UTF-8. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}
