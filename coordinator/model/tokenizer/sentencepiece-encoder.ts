import { StarlingError } from '../../../daemon/errors.ts';
import { MergeQueue } from './merge-queue.ts';
import type { Vocabulary } from './vocabulary.ts';

/** U+2581, which SentencePiece writes for a space. */
export const SPACE_MARK = '\u2581';

const utf8 = new TextEncoder();

/**
 * SentencePiece BPE as llama.cpp computes it: neighbours whose joined text is a token are merged, best score first,
 * leftmost first; characters that are left over become byte tokens.
 */
export class SentencePieceEncoder {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #scores: Float32Array;
  readonly #byteIds: Int32Array;
  readonly #longestToken: number;

  /** @throws StarlingError model_invalid when some byte can be written neither as a byte token nor as "unknown" */
  constructor(vocabulary: Vocabulary, ids: ReadonlyMap<string, number>) {
    this.#ids = ids;
    this.#scores = vocabulary.scores ?? new Float32Array(vocabulary.tokens.length);
    this.#longestToken = vocabulary.tokens.reduce((longest, token) => Math.max(longest, token.length), 0);
    this.#byteIds = Int32Array.from({ length: 256 }, (_, byte) => {
      const hex = byte.toString(16).toUpperCase().padStart(2, '0');
      const single = byte < 0x80 ? ids.get(String.fromCharCode(byte)) : undefined;
      const id = ids.get(`<0x${hex}>`) ?? single ?? vocabulary.unk;
      if (id === null) {
        throw new StarlingError(
          'model_invalid',
          `tokenizer.ggml.tokens has neither the byte token <0x${hex}> nor an unknown token; the model file is damaged or badly converted`,
          { param: 'tokenizer.ggml.tokens' },
        );
      }
      return id;
    });
  }

  /** Appends the ids of a text without special tokens. @param text well-formed UTF-16, a space prefix already added */
  encode(text: string, out: number[]): void {
    const marked = text.replaceAll(' ', SPACE_MARK);
    const starts = characterStarts(marked);
    const n = starts.length - 1;
    const previous = new Int32Array(n);
    const next = new Int32Array(n);
    /** UTF-16 units of each symbol; 0 once merged away. */
    const lengths = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      previous[i] = i - 1;
      next[i] = i + 1;
      lengths[i] = (starts[i + 1] as number) - (starts[i] as number);
    }
    const queue = new MergeQueue(n);
    const offer = (left: number): void => {
      const right = next[left] as number;
      if (right >= n) return;
      const length = (lengths[left] as number) + (lengths[right] as number);
      if (length > this.#longestToken) return;
      const start = starts[left] as number;
      const id = this.#ids.get(marked.slice(start, start + length));
      if (id !== undefined) queue.push(-(this.#scores[id] as number), left, length);
    };
    for (let i = 0; i < n - 1; i++) offer(i);
    while (queue.size > 0) {
      const left = queue.position;
      const length = queue.stamp;
      queue.pop();
      const right = next[left] as number;
      // symbols only grow, so a pair that changed has another length
      if (lengths[left] === 0 || right >= n || (lengths[left] as number) + (lengths[right] as number) !== length)
        continue;
      lengths[left] = length;
      lengths[right] = 0;
      const after = next[right] as number;
      next[left] = after;
      if (after < n) previous[after] = left;
      const before = previous[left] as number;
      if (before >= 0) offer(before);
      offer(left);
    }
    for (let i = 0; i < n; i = next[i] as number) {
      const start = starts[i] as number;
      this.#emit(marked.slice(start, start + (lengths[i] as number)), out);
    }
  }

  #emit(piece: string, out: number[]): void {
    const id = this.#ids.get(piece);
    if (id !== undefined) {
      out.push(id);
      return;
    }
    for (const byte of utf8.encode(piece)) out.push(this.#byteIds[byte] as number);
  }
}

/** Where each character begins (UTF-16 units), and the length of the text as one entry more. */
function characterStarts(text: string): Int32Array {
  const starts = new Int32Array(text.length + 1);
  let count = 0;
  for (let i = 0; i < text.length; i += (text.codePointAt(i) as number) >= 0x10000 ? 2 : 1) starts[count++] = i;
  starts[count] = text.length;
  return starts.subarray(0, count + 1);
}
