/** Expected of an answer of which nothing is known. */
const DEFAULT_TOKENS = 128;
/** Answers before a user's own history counts, and before that of all does. */
const ENOUGH = 3;
const RATE = 0.2;
/** Histories kept; the one unused for longest goes first. */
const MOST_HISTORIES = 1024;

interface History {
  count: number;
  /** Running mean of log2(tokens + 1): a few very long answers should not hide that most are short. */
  log: number;
}

/**
 * Estimates how long an answer will be, from its limit and from earlier answers to prompts of about the same length.
 */
export class AnswerLengths {
  /** By user and by the prompt's length as a power of two; those of all users under the user ''. In order of use. */
  readonly #histories = new Map<string, History>();

  /** @returns tokens, at least 1 and at most `maxTokens` */
  estimate(user: string, promptTokens: number, maxTokens: number): number {
    const own = this.#histories.get(key(user, promptTokens));
    const all = this.#histories.get(key('', promptTokens));
    const known = [own, all].find((history) => (history?.count ?? 0) >= ENOUGH);
    const expected = known === undefined ? DEFAULT_TOKENS : 2 ** known.log - 1;
    return Math.max(1, Math.min(expected, maxTokens));
  }

  observe(user: string, promptTokens: number, tokens: number): void {
    for (const name of new Set([user, ''])) this.#learn(key(name, promptTokens), Math.log2(tokens + 1));
  }

  #learn(name: string, log: number): void {
    const history = this.#histories.get(name) ?? { count: 0, log };
    history.count++;
    history.log += RATE * (log - history.log);
    this.#histories.delete(name);
    this.#histories.set(name, history);
    if (this.#histories.size <= MOST_HISTORIES) return;
    const [oldest] = this.#histories.keys();
    this.#histories.delete(oldest!);
  }
}

const key = (user: string, promptTokens: number): string => `${Math.floor(Math.log2(promptTokens))} ${user}`;
