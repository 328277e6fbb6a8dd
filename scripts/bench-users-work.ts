import { setTimeout as sleep } from 'node:timers/promises';
import type { GenerationRequest } from '../coordinator/generation/answer.ts';
import type { Standing } from '../coordinator/generation/events.ts';
import { Generator } from '../coordinator/generation/generator.ts';
import { GREEDY, sample } from '../coordinator/generation/sampler.ts';
import type { TextCodec } from '../coordinator/generation/text-codec.ts';
import type { LanguageModel } from '../coordinator/language-model.ts';
import { MAX_ROWS } from '../daemon/engine/engine-spec.ts';
import { createLogger } from '../daemon/log.ts';
import { LoneSequence } from './lone-sequence.ts';
import { mix } from './random-words.ts';

/** A text that a user asks for. */
export interface Wanted {
  /** Milliseconds after the beginning. */
  readonly at: number;
  readonly user: string;
  readonly promptTokens: readonly number[];
  /** Tokens of the answer; the scheduler is not told. */
  readonly answer: number;
}

/** When its client asked and heard; milliseconds from any origin. */
export interface Heard {
  readonly wanted: Wanted;
  readonly askedAt: number;
  /** When each token came. */
  readonly tokensAt: readonly number[];
}

const log = createLogger('silent', 'bench');

/** Every token is one letter, so that a stop sequence of as many letters ends an answer where the bench wants it. */
export const letterCodec: TextCodec = {
  encode: () => [],
  isEndOfGeneration: () => false,
  pieceBytes: () => new Uint8Array(),
  createDetokenizer: () => ({ push: () => 'x', flush: () => '' }),
};

/** Draws at random, so that a text of a model with random weights does not repeat itself and nothing is drafted. */
const SAMPLING = { ...GREEDY, temperature: 1, topK: 40 };

export const newGenerator = (model: LanguageModel): Generator => new Generator({ model, codec: letterCodec, log });

/** Random token ids. */
export const randomTokens = (count: number, vocabSize: number, seed: number): number[] =>
  Array.from({ length: count }, (_, i) => (mix(mix(seed) + i) >>> 0) % vocabSize);

/** Asks for a text, and notes when its tokens come. */
export async function hear(generator: Generator, wanted: Wanted): Promise<Heard> {
  const { user, promptTokens, answer } = wanted;
  const request: GenerationRequest = {
    promptTokens,
    // Clients set a limit well above what they get; without one, each would be promised the whole context.
    maxTokens: 4 * answer,
    sampling: { ...SAMPLING, seed: promptTokens[0] ?? 0 },
    stop: ['x'.repeat(answer)],
    logprobs: null,
  };
  const standing: Standing = { user, priority: 'interactive', timeoutMs: null };
  const askedAt = performance.now();
  const tokensAt: number[] = [];
  for await (const event of generator.submit([request], standing)) {
    if (event.type === 'token') tokensAt.push(performance.now());
  }
  return { wanted, askedAt, tokensAt };
}

/** All at once, in one step loop. */
export function together(model: LanguageModel, wanted: readonly Wanted[]): Promise<Heard[]> {
  const generator = newGenerator(model);
  return Promise.all(wanted.map((one) => sleep(one.at).then(() => hear(generator, one))));
}

/** First come, first served: one after the other, in the order of arrival. */
export function inTurn(model: LanguageModel, wanted: readonly Wanted[]): Promise<Heard[]> {
  const generator = newGenerator(model);
  let turn: Promise<unknown> = Promise.resolve();
  return Promise.all(
    wanted.map(async (one) => {
      await sleep(one.at);
      const askedAt = performance.now();
      const heard = turn.then(() => hear(generator, one));
      turn = heard;
      return { ...(await heard), askedAt };
    }),
  );
}

/** Tokens per second of all while all decode: from the last first token to the first last one. */
export function sharedRate(heard: readonly Heard[]): number {
  const from = Math.max(...heard.map(({ tokensAt }) => tokensAt[0]!));
  const to = Math.min(...heard.map(({ tokensAt }) => tokensAt.at(-1)!));
  const tokens = heard.flatMap(({ tokensAt }) => tokensAt).filter((at) => at > from && at <= to).length;
  return (tokens * 1000) / (to - from);
}

export const firstTokenMs = ({ askedAt, tokensAt }: Heard): number => tokensAt[0]! - askedAt;
export const totalMs = ({ askedAt, tokensAt }: Heard): number => tokensAt.at(-1)! - askedAt;

/** The value below which a share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export interface DraftFigures {
  /** Milliseconds a token, without drafts and by the generator. */
  readonly plain_ms: number;
  readonly ms: number;
  /** Above 1 drafting is faster. */
  readonly speed: number;
  readonly tokens_per_pass: number;
}

/**
 * What drafting does to one text that is drawn from a few tokens only: the same again and again, or at random, where it can but guess.
 * @param choices tokens to draw from
 */
export async function drafting(
  model: LanguageModel,
  prompt: readonly number[],
  tokens: number,
  choices: number,
): Promise<DraftFigures> {
  const ids = randomTokens(choices, model.vocabSize, 3);
  const sampling = { ...SAMPLING, logitBias: new Map(ids.map((id) => [id, 100])) };
  const sequence = new LoneSequence(model);
  let logits = await sequence.append(prompt);
  let startedAt = performance.now();
  for (let i = 1; i < tokens; i++) logits = await sequence.append([sample(logits, sampling, sequence.length)]);
  const plain_ms = (performance.now() - startedAt) / (tokens - 1);
  const generator = newGenerator(model);
  const request = { promptTokens: prompt, maxTokens: tokens, sampling, stop: [], logprobs: null };
  startedAt = 0;
  for await (const event of generator.generate(request)) {
    if (startedAt === 0 && event.type === 'token') startedAt = performance.now();
  }
  const ms = (performance.now() - startedAt) / (tokens - 1);
  const passes = generator.statistics.steps - Math.ceil(prompt.length / MAX_ROWS);
  return { plain_ms, ms, speed: plain_ms / ms, tokens_per_pass: (tokens - 1) / passes };
}
