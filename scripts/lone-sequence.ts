import type { LanguageModel } from '../coordinator/language-model.ts';
import { MAX_ROWS, pagesFor } from '../daemon/engine/engine-spec.ts';

/** One sequence that has a model to itself, for measurements and comparisons. */
export class LoneSequence {
  readonly #model: LanguageModel;
  #length = 0;

  constructor(model: LanguageModel) {
    this.#model = model;
  }

  get length(): number {
    return this.#length;
  }

  /**
   * Computes the next positions, in steps of at most MAX_ROWS rows.
   * @param tokens at least one
   * @returns the logits after the last of them; valid until the model's next step
   */
  async append(tokens: readonly number[]): Promise<Float32Array> {
    let logits: Float32Array | undefined;
    for (let done = 0; done < tokens.length; done += MAX_ROWS) {
      const rows = tokens.slice(done, done + MAX_ROWS);
      const pages = Array.from({ length: pagesFor(this.#length + rows.length) }, (_, page) => page);
      const isLast = done + rows.length === tokens.length;
      [logits] = await this.#model.step([{ tokens: rows, position: this.#length, pages, logits: isLast ? 1 : 0 }]);
      this.#length += rows.length;
    }
    if (logits === undefined) throw new RangeError('append takes at least one token');
    return logits;
  }
}
