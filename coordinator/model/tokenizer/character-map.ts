import { StarlingError } from '../../../daemon/errors.ts';

/** Longest run of bytes that is replaced as one: enough for any composed character, and a bound on hostile maps. */
const MAX_KEY_BYTES = 256;
/** Longest replacement: those in use have 33 bytes. */
const MAX_REPLACEMENT_BYTES = 256;
/** Root of the array. */
const ROOT = 0;

/**
 * SentencePiece's compiled normalisation rules (`precompiled_charsmap`): the length in bytes of a double array, the
 * array itself, little-endian words, then the replacements, each ended by a zero byte. The array is Darts': a node's
 * children stand at its offset XOR the byte; a child's label is its byte; a value is the place of a replacement.
 */
export class CharacterMap {
  readonly #nodes: Uint32Array;
  readonly #replacements: Uint8Array;

  /** @throws StarlingError model_invalid for lengths that contradict each other, or that no rules have */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = bytes.length < 4 ? Number.NaN : view.getUint32(0, true);
    if (!(length >= 4 && length % 4 === 0 && 4 + length < bytes.length && bytes[bytes.length - 1] === 0)) {
      throw invalid('is cut off');
    }
    this.#nodes = Uint32Array.from({ length: length / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#replacements = bytes.subarray(4 + length);
    for (let start = 0; start < this.#replacements.length; ) {
      const end = this.#replacements.indexOf(0, start);
      if (end - start > MAX_REPLACEMENT_BYTES) throw invalid(`has a replacement of ${end - start} bytes`);
      start = end + 1;
    }
  }

  /** The text with each of the longest keys replaced, left to right. @param text well-formed UTF-16 */
  apply(text: string): string {
    const input = Buffer.from(text, 'utf8');
    const parts: Uint8Array[] = [];
    let kept = 0;
    for (let at = 0; at < input.length; ) {
      const { length, replacement } = this.#longestKey(input, at);
      if (length === 0) {
        at++;
        // a key begins with a character
        while (((input[at] ?? 0) & 0xc0) === 0x80) at++;
        continue;
      }
      parts.push(input.subarray(kept, at), this.#replacementAt(replacement));
      at += length;
      kept = at;
    }
    if (parts.length === 0) return text;
    parts.push(input.subarray(kept));
    return Buffer.concat(parts).toString('utf8');
  }

  #longestKey(input: Uint8Array, from: number): { length: number; replacement: number } {
    let length = 0;
    let replacement = 0;
    let node = this.#offset(ROOT);
    const end = Math.min(input.length, from + MAX_KEY_BYTES);
    for (let at = from; at < end; at++) {
      const byte = input[at] as number;
      node ^= byte;
      const word = this.#nodes[node];
      if (byte === 0 || word === undefined || (word & 0x800000ff) !== byte) break;
      const hasValue = ((word >>> 8) & 1) === 1;
      node ^= this.#offset(node);
      const value = (this.#nodes[node] ?? 0) & 0x7fffffff;
      if (hasValue && value < this.#replacements.length) {
        length = at + 1 - from;
        replacement = value;
      }
    }
    return { length, replacement };
  }

  /** Ten bits of a word's shift and the rest of it: how far a node's children are. */
  #offset(node: number): number {
    const word = this.#nodes[node] ?? 0;
    return ((word >>> 10) << ((word & 0x200) >>> 6)) >>> 0;
  }

  #replacementAt(start: number): Uint8Array {
    return this.#replacements.subarray(start, this.#replacements.indexOf(0, start));
  }
}

function invalid(problem: string): StarlingError {
  return new StarlingError(
    'model_invalid',
    `tokenizer.ggml.precompiled_charsmap ${problem}; the model file is damaged or badly converted`,
    { param: 'tokenizer.ggml.precompiled_charsmap' },
  );
}
