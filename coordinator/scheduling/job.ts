import { DraftControl } from '../drafts/draft-control.ts';
import { PromptLookup } from '../drafts/prompt-lookup.ts';
import type { KvSequence } from '../kv/kv-cache.ts';

/** `interactive`: somebody reads along. `batch`: nobody waits; yields to whoever does. */
export type Priority = 'interactive' | 'batch';

/** What of a prompt is wanted before its text goes on: what follows its last token, or something of every token. */
export type PromptRows = 'last' | 'every';

export interface JobOptions {
  /** Whose it is, for fair shares. */
  readonly user: string;
  readonly priority: Priority;
  readonly prompt: readonly number[];
  /** Most tokens of the answer; may be infinite; 0 where the prompt is computed for its own sake. */
  readonly maxTokens: number;
  /** The last by default. */
  readonly promptRows?: PromptRows;
  /** What its rows give: logits by default. */
  readonly output?: 'logits' | 'hidden';
  /** Of any sequence: prompt and answer. */
  readonly contextLength: number;
  /** Milliseconds, as all times of the scheduler. */
  readonly arrived: number;
}

/** One text that is being made: its tokens so far, and where it stands. Changed by the scheduler alone. */
export class Job {
  readonly user: string;
  readonly priority: Priority;
  readonly arrived: number;
  readonly promptLength: number;
  readonly maxTokens: number;
  readonly promptRows: PromptRows;
  readonly output: 'logits' | 'hidden';
  /** Positions that it can come to hold: the last token of an answer is never computed. */
  readonly mostPositions: number;
  /** The prompt and what was generated. */
  readonly tokens: number[];
  /** Where its keys and values are; null while it waits. */
  sequence: KvSequence | null = null;
  /** Its client reads too slowly: no rows for it until that has caught up. */
  paused = false;
  /** Positions computed at any time; less may be there after it had to yield. */
  reached = 0;
  /** Tokens of the prompt that had been computed before, for others or for an earlier turn. */
  cachedTokens = 0;
  /** Expected tokens of the answer in all. */
  expected = 1;
  /** When it first had rows in a step, and when its prompt was done. */
  startedAt: number | null = null;
  prefilledAt: number | null = null;
  /** Number of the last step that it had rows in. */
  lastStep = 0;
  /** When it began to wait: at its arrival, or when it had to yield. */
  waitingSince: number;
  readonly lookup = new PromptLookup();
  readonly lookupControl = new DraftControl();
  readonly modelControl = new DraftControl();

  constructor(options: JobOptions) {
    const { user, priority, prompt, maxTokens, contextLength, arrived } = options;
    this.user = user;
    this.priority = priority;
    this.arrived = arrived;
    this.waitingSince = arrived;
    this.promptLength = prompt.length;
    this.maxTokens = maxTokens;
    this.promptRows = options.promptRows ?? 'last';
    this.output = options.output ?? 'logits';
    this.mostPositions = Math.min(contextLength, prompt.length + Math.max(0, maxTokens - 1));
    this.tokens = [...prompt];
  }

  /** Whether logits of its prompt's rows are wanted. */
  get judgesPrompt(): boolean {
    return this.promptRows === 'every' && this.output === 'logits';
  }

  get generated(): number {
    return this.tokens.length - this.promptLength;
  }

  /**
   * Its tokens as far as their positions may be taken from pages that are there, and one more: all but the last, or,
   * where it needs every row of the prompt, those that were computed for it before it had to yield.
   */
  get takenOver(): readonly number[] {
    return this.promptRows === 'last' ? this.tokens : this.tokens.slice(0, this.reached + 1);
  }

  /**
   * After how many of the last of its next `count` rows something is wanted; without drafted ones, which come after
   * them.
   */
  wanted(count: number): number {
    const end = (this.sequence?.computed ?? 0) + count;
    if (this.promptRows === 'every') return Math.max(0, end - Math.max(end - count, this.reached));
    return end === this.tokens.length ? 1 : 0;
  }

  /** Tokens whose positions are to be computed before the next one can be drawn; 1 while decoding. */
  get pending(): number {
    return this.tokens.length - (this.sequence?.computed ?? 0);
  }

  /** Tokens that are expected to be computed for it from now on. */
  get remaining(): number {
    return this.pending + Math.max(1, this.expected - this.generated);
  }

  /** `gained` positions up to the last computed one turned out to be there already. */
  credit(gained: number): void {
    const computed = this.sequence?.computed ?? 0;
    const fresh = Math.min(computed, this.promptLength) - Math.max(computed - gained, this.reached);
    if (fresh > 0) this.cachedTokens += fresh;
    this.reached = Math.max(this.reached, computed);
  }
}
