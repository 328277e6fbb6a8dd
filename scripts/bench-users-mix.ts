import { percentile, rounded } from './bench-statistics.ts';
import { firstTokenMs, type Heard, randomTokens, totalMs, type Wanted } from './bench-users-work.ts';
import { mix } from './random-words.ts';

export interface MixFigures {
  readonly short_p50_ms: number;
  readonly short_p95_ms: number;
  readonly short_ttft_p50_ms: number;
  readonly long_p50_ms: number;
  readonly longest_ttft_ms: number;
  readonly longest_ms: number;
  readonly all_ms: number;
}

/** Every third request is a long one. */
const isLong = (i: number): boolean => i % 3 === 2;

/**
 * Four users who ask, at random moments, two short questions for one long; about half as much again as one at a time
 * can serve.
 */
export function mixOf(count: number, vocabSize: number, context: number): Wanted[] {
  let at = 0;
  return Array.from({ length: count }, (_, i) => {
    const word = (n: number): number => (mix(mix(99) + 8 * i + n) >>> 0) / 2 ** 32;
    const long = isLong(i);
    const length = Math.min(context / 2, Math.round(long ? 200 + 200 * word(1) : 20 + 30 * word(1)));
    const answer = Math.round(long ? 100 + 80 * word(2) : 12 + 12 * word(2));
    at += -Math.log(1 - word(3)) * 1500;
    return {
      at,
      user: `user ${Math.floor(4 * word(4))}`,
      promptTokens: randomTokens(length, vocabSize, 5000 + i),
      answer: Math.min(answer, context / 2),
    };
  });
}

/** @param heard in the order of the mix */
export function mixFigures(heard: readonly Heard[]): MixFigures {
  const long = heard.filter((_, i) => isLong(i));
  const short = heard.filter((_, i) => !isLong(i));
  const begin = Math.min(...heard.map(({ askedAt }) => askedAt));
  return {
    short_p50_ms: rounded(percentile(short.map(totalMs), 0.5)),
    short_p95_ms: rounded(percentile(short.map(totalMs), 0.95)),
    short_ttft_p50_ms: rounded(percentile(short.map(firstTokenMs), 0.5)),
    long_p50_ms: rounded(percentile(long.map(totalMs), 0.5)),
    longest_ttft_ms: rounded(Math.max(...heard.map(firstTokenMs))),
    longest_ms: rounded(Math.max(...heard.map(totalMs))),
    all_ms: rounded(Math.max(...heard.map(({ tokensAt }) => tokensAt.at(-1)!)) - begin),
  };
}
