import { setTimeout as sleep } from 'node:timers/promises';
import type { GenerationRequest } from '../coordinator/generation/answer.ts';
import type { Standing } from '../coordinator/generation/events.ts';
import { Generator } from '../coordinator/generation/generator.ts';
import { GREEDY } from '../coordinator/generation/sampler.ts';
import type { TextCodec } from '../coordinator/generation/text-codec.ts';
import type { LanguageModel } from '../coordinator/language-model.ts';
import { StarlingError } from '../daemon/errors.ts';
import { createLogger } from '../daemon/log.ts';
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

export const benchLog = createLogger('silent', 'bench');

/** Every token is one letter, so that a stop sequence of as many letters ends an answer where the bench wants it. */
export const letterCodec: TextCodec = {
  encode: () => [],
  isEndOfGeneration: () => false,
  pieceBytes: () => new Uint8Array(),
  createDetokenizer: () => ({ push: () => 'x', flush: () => '' }),
};

/** Draws at random, so that a text of a model with random weights does not repeat itself and nothing is drafted. */
const SAMPLING = { ...GREEDY, temperature: 1, topK: 40 };

const newGenerator = (model: LanguageModel): Generator => new Generator({ model, codec: letterCodec, log: benchLog });

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
  for await (const event of await generator.submit([request], standing)) {
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

/**
 * Tokens per second of all while all decode: from the last first token to the first last one.
 * @throws StarlingError invalid_argument when there was no such time
 */
export function sharedRate(heard: readonly Heard[]): number {
  const from = Math.max(...heard.map(({ tokensAt }) => tokensAt[0]!));
  const to = Math.min(...heard.map(({ tokensAt }) => tokensAt.at(-1)!));
  if (!(to > from)) {
    throw new StarlingError(
      'invalid_argument',
      `${heard.length} users never decoded at the same time: ask for longer answers, or allow more memory for their caches`,
    );
  }
  const tokens = heard.flatMap(({ tokensAt }) => tokensAt).filter((at) => at > from && at <= to).length;
  return (tokens * 1000) / (to - from);
}

export const firstTokenMs = ({ askedAt, tokensAt }: Heard): number => tokensAt[0]! - askedAt;
export const totalMs = ({ askedAt, tokensAt }: Heard): number => tokensAt.at(-1)! - askedAt;
