import type { Tokenizer } from './tokenizer.ts';

/** Turns a growing sequence of tokens into text that is safe to send: whole characters, each sent once. */
export class Detokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #special: boolean;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #dropSpace: boolean;

  /**
   * @param options.startOfText the first token begins a text, so a leading space that the tokenizer would have added
   *   itself is dropped (SentencePiece); false when continuing a text
   * @param options.special show control tokens as their text
   */
  constructor(tokenizer: Tokenizer, options: { startOfText?: boolean; special?: boolean } = {}) {
    this.#tokenizer = tokenizer;
    this.#special = options.special ?? false;
    this.#dropSpace = (options.startOfText ?? true) && tokenizer.addsSpacePrefix;
  }

  /** The text that this token completes; '' while a character is unfinished. Bytes that are no UTF-8 become U+FFFD. */
  push(token: number): string {
    let bytes = this.#tokenizer.pieceBytes(token, this.#special);
    if (bytes.length === 0) return '';
    if (this.#dropSpace) {
      this.#dropSpace = false;
      if (bytes[0] === 0x20) bytes = bytes.subarray(1);
    }
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What is left at the end: U+FFFD for an unfinished character, or ''. */
  flush(): string {
    return this.#decoder.decode();
  }
}
