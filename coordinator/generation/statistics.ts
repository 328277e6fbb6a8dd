import type { KvCounts } from '../kv/kv-cache.ts';
import type { GenerationTimings } from './events.ts';

/**
 * What text generation has done since it began, and what it holds now. Texts are answers, and texts that were embedded;
 * milliseconds are sums over finished ones.
 */
export interface GenerationStatistics {
  readonly requestsWaiting: number;
  readonly requestsRunning: number;
  readonly textsFinished: number;
  /** Cancelled or failed. */
  readonly textsEnded: number;
  readonly promptTokens: number;
  /** Of the prompts' tokens: those that had been computed before. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly queueMs: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly steps: number;
  readonly rows: number;
  readonly stepMs: number;
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
  readonly preemptions: number;
  readonly kv: KvCounts;
}

/** The counters behind them. */
export class GenerationCounters {
  textsFinished = 0;
  textsEnded = 0;
  promptTokens = 0;
  cachedTokens = 0;
  completionTokens = 0;
  queueMs = 0;
  prefillMs = 0;
  decodeMs = 0;
  steps = 0;
  rows = 0;
  stepMs = 0;
  draftedTokens = 0;
  acceptedTokens = 0;

  /** A text is over, or its embedding is there. */
  finished(tokens: FinishedTokens, { queueMs, prefillMs, decodeMs }: GenerationTimings): void {
    this.textsFinished++;
    this.promptTokens += tokens.promptTokens;
    this.cachedTokens += tokens.cachedTokens;
    this.completionTokens += tokens.completionTokens ?? 0;
    this.queueMs += queueMs;
    this.prefillMs += prefillMs;
    this.decodeMs += decodeMs;
  }
}

interface FinishedTokens {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** None of an embedding. */
  readonly completionTokens?: number;
}
