import type { GgufMetadata } from './gguf-writer.ts';

/** The "lower one eighth block" that stands for a space in SentencePiece vocabularies. */
const SPACE = '\u2581';
/** Most frequent first, as a trained vocabulary would have them. */
const LETTERS = [...'etaoinshrdlcumwfgypbvkjxqz'];
const FIRST_BYTE = 3;
const FIRST_PIECE = FIRST_BYTE + 256;

/** ggml's token types. */
const TYPE = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;

const CHAT_TEMPLATE =
  "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/**
 * The tokenizer's metadata for a SentencePiece-style vocabulary of exactly `size` tokens: unknown, begin, end, the 256
 * bytes, then pieces, each of which two earlier ones make. All text can be encoded.
 * @throws RangeError below 354 tokens
 */
export function syntheticVocabulary(size: number): GgufMetadata {
  const tokens = ['<unk>', '<s>', '</s>'];
  for (let byte = 0; byte < 256; byte++) tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  for (const piece of pieces()) {
    if (tokens.length >= size) break;
    tokens.push(piece);
  }
  if (tokens.length !== size || size < FIRST_PIECE + 95) {
    throw new RangeError(`a synthetic vocabulary has at least ${FIRST_PIECE + 95} tokens and at most ${tokens.length}`);
  }
  return {
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: tokens },
    'tokenizer.ggml.scores': {
      type: 'array',
      of: 'float32',
      value: tokens.map((_, id) => Math.min(0, FIRST_PIECE - id)),
    },
    'tokenizer.ggml.token_type': { type: 'array', of: 'int32', value: tokens.map((_, id) => tokenType(id)) },
    'tokenizer.ggml.unknown_token_id': { type: 'uint32', value: 0 },
    'tokenizer.ggml.bos_token_id': { type: 'uint32', value: 1 },
    'tokenizer.ggml.eos_token_id': { type: 'uint32', value: 2 },
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
    'tokenizer.ggml.add_eos_token': { type: 'bool', value: false },
    'tokenizer.chat_template': { type: 'string', value: CHAT_TEMPLATE },
  };
}

/** Characters first, then ever longer runs of letters, with and without a space before them. */
function* pieces(): Generator<string> {
  yield SPACE;
  yield* LETTERS;
  for (let code = 33; code < 127; code++) {
    const character = String.fromCharCode(code);
    if (!LETTERS.includes(character)) yield character;
  }
  for (const letter of LETTERS) yield SPACE + letter;
  for (let letters = 2; letters <= 4; letters++) {
    yield* words(letters);
    for (const word of words(letters)) yield SPACE + word;
  }
}

function* words(letters: number): Generator<string> {
  if (letters === 0) {
    yield '';
    return;
  }
  for (const start of words(letters - 1)) for (const letter of LETTERS) yield start + letter;
}

function tokenType(id: number): number {
  if (id === 0) return TYPE.unknown;
  if (id < FIRST_BYTE) return TYPE.control;
  return id < FIRST_PIECE ? TYPE.byte : TYPE.normal;
}
