/** Most tokens that one sequence drafts in a step. */
export const MAX_DRAFT = 16;

/** Weight of one drafted token in what is known of a text, once more is known than that makes up for. */
const RATE = 0.12;
/**
 * Believed of a text before anything is known of it, with the weight of so many drafted tokens: what is wrong at first
 * is soon given up.
 */
const PRIOR = 0.6;
const PRIOR_TOKENS = 2;
/** Of the way back to PRIOR that an occasion passed up restores, so that a text is tried again, rarely. */
const FORGET = 1 / 1000;
/** A draft must promise this many times what it costs: estimates are noisy, and a wrong one delays everybody. */
const MARGIN = 1.15;

/** What one more row in a step is worth. */
export interface DraftPrice {
  /** Milliseconds that one more row costs. */
  readonly rowMs: number;
  /** Milliseconds that a step takes, and tokens that it is expected to give, with the rows it has. */
  readonly stepMs: number;
  readonly stepTokens: number;
}

/** Turns drafting of one text on and off and picks its length, by how many drafted tokens were accepted so far. */
export class DraftControl {
  #accepted = PRIOR;
  #judged = 0;

  /** How probable it is that a drafted token is accepted if those before it were. */
  get acceptance(): number {
    return this.#accepted;
  }

  /** @param accepted of `drafted` tokens, from the first on; what follows a rejected one was never judged */
  observe(drafted: number, accepted: number): void {
    for (let i = 0; i < Math.min(drafted, accepted + 1); i++) {
      this.#judged++;
      const weight = Math.max(RATE, 1 / (PRIOR_TOKENS + this.#judged));
      this.#accepted += weight * ((i < accepted ? 1 : 0) - this.#accepted);
    }
  }

  /** There was something to draft and it was not worth it. */
  skipped(): void {
    if (this.#accepted < PRIOR) this.#accepted += FORGET * (PRIOR - this.#accepted);
  }

  /**
   * How many tokens to draft. The i-th is right with probability p^i, and is worth the time in which the step makes as
   * much otherwise: it is drafted while p^i · stepMs / stepTokens is more than it costs.
   */
  length(price: DraftPrice, most: number): number {
    const { rowMs, stepMs, stepTokens } = price;
    // Nothing is known of the cost yet: steps are short of rows at first, so look.
    if (!(stepMs > 0)) return Math.min(1, most);
    const least = (MARGIN * rowMs * stepTokens) / stepMs;
    let length = 0;
    for (let p = this.#accepted; length < Math.min(most, MAX_DRAFT) && p > least; p *= this.#accepted) length++;
    return length;
  }
}
