import type { Priority } from '../scheduling/job.ts';
import type { AnswerEnd, TokenEvent } from './answer.ts';
import type { LogProbabilities } from './log-probabilities.ts';

export interface GenerationUsage {
  readonly promptTokens: number;
  /** Of the prompt: those that had been computed before. */
  readonly cachedTokens: number;
  /** Tokens generated, without the end-of-generation token. */
  readonly completionTokens: number;
  /** Of these: those of the reasoning and its marks, where it is told apart. */
  readonly reasoningTokens: number;
}

export interface GenerationTimings {
  /** From the arrival to the first row in a step. */
  readonly queueMs: number;
  /** From there to the first token. */
  readonly prefillMs: number;
  /** From there to the end. */
  readonly decodeMs: number;
}

export interface EndEvent extends AnswerEnd {
  readonly type: 'end';
  readonly usage: GenerationUsage;
  readonly timings: GenerationTimings;
}

/** What happens to the `choice`-th of the texts that were asked for together. */
export type GenerationEvent = (TokenEvent | EndEvent) & {
  readonly choice: number;
  /** Of the prompt's tokens but the first, with a text's first event, where they were asked for. */
  readonly promptLogProbs?: readonly LogProbabilities[];
};

/** Who asks, and how urgently. */
export interface Standing {
  readonly user: string;
  readonly priority: Priority;
  /** Milliseconds after which the work is given up; null for none. */
  readonly timeoutMs: number | null;
}

export const NOBODY_IN_PARTICULAR: Standing = { user: '', priority: 'interactive', timeoutMs: null };
