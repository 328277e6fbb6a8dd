import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { counterRandom } from '../../../../coordinator/generation/counter-random.ts';
import { logprobs } from '../../../../coordinator/generation/log-probabilities.ts';
import { GREEDY, SAMPLER_VERSION, type SamplingOptions, sample } from '../../../../coordinator/generation/sampler.ts';
import { argmax, selectTop } from '../../../../coordinator/generation/top-selection.ts';
import { StarlingError } from '../../../../daemon/errors.ts';

const PLAIN: SamplingOptions = { ...GREEDY, temperature: 1, seed: 1 };

/** Values in [-8, 8), a function of `seed`; with ties when `coarse`. */
function randomLogits(length: number, seed: number, coarse = false): Float32Array {
  return Float32Array.from({ length }, (_, index) => {
    const value = counterRandom(seed, index) * 16 - 8;
    return coarse ? Math.round(value) : value;
  });
}

function sortedIds(logits: Float32Array): number[] {
  return Array.from(logits.keys())
    .filter((id) => logits[id]! > Number.NEGATIVE_INFINITY)
    .sort((a, b) => logits[b]! - logits[a]! || a - b);
}

function runningSums(values: readonly number[]): number[] {
  let sum = 0;
  return values.map((value) => {
    sum += value;
    return sum;
  });
}

/** The definition, with a full sort. */
function slowSample(logits: Float32Array, options: SamplingOptions, position: number): number {
  let ids = sortedIds(logits);
  if (options.topK > 0) ids = ids.slice(0, options.topK);
  const max = logits[ids[0]!]!;
  if (options.topP < 1) {
    const inIdOrder = options.topK > 0 ? ids : [...ids].sort((a, b) => a - b);
    const total = inIdOrder.reduce((sum, id) => sum + Math.exp(logits[id]! - max), 0);
    const sums = runningSums(ids.map((id) => Math.exp(logits[id]! - max)));
    const count = sums.findIndex((sum) => sum >= options.topP * total);
    if (count >= 0) ids = ids.slice(0, count + 1);
  }
  ids = ids.filter((id) => options.minP === 0 || logits[id]! >= max + Math.log(options.minP)).sort((a, b) => a - b);
  const weights = ids.map((id) => Math.exp((logits[id]! - max) / options.temperature));
  const sums = runningSums(weights);
  const target = counterRandom(options.seed, position) * sums.at(-1)!;
  return ids.find((_, i) => sums[i]! > target) ?? ids.at(-1)!;
}

describe('tokens held back', () => {
  it('M8: a repetition penalty divides logits above zero and multiplies others; what is forbidden is never drawn', () => {
    const options = { ...GREEDY, repetition: { factor: 2, reach: 64 } };
    const draw = (logits: readonly number[], repeated: readonly number[], forbidden: readonly number[] = []): number =>
      sample(Float32Array.from(logits), options, 0, new Map(), {
        repeated: new Set(repeated),
        forbidden,
        allowed: null,
      });
    assert.equal(draw([4, 3], []), 0);
    assert.equal(draw([4, 3], [0]), 1);
    assert.equal(draw([4, 3], [0, 1]), 0);
    assert.equal(draw([-1, -1.5], [0]), 1);
    assert.equal(draw([4, 3], [], [0, 99]), 1);
    assert.equal(draw([4, 3], [99], []), 0);
  });
});

describe('tokens allowed', () => {
  it('draws as if the vocabulary had no others, at the same place of the random numbers', () => {
    for (let seed = 0; seed < 200; seed++) {
      const logits = randomLogits(100, seed, false);
      const allowed = new Uint32Array(4);
      const few = new Float32Array(100).fill(Number.NEGATIVE_INFINITY);
      for (let token = seed % 3; token < 100; token += 1 + (seed % 7)) {
        allowed[token >>> 5]! |= 1 << (token & 31);
        few[token] = logits[token]!;
      }
      if (seed % 2 === 0) {
        allowed[1] = 0xffffffff;
        few.set(logits.subarray(32, 64), 32);
      }
      const options = { ...GREEDY, temperature: seed % 5 === 0 ? 0 : 1, topK: seed % 2 === 0 ? 0 : 9, topP: 0.9, seed };
      const limited = sample(logits, options, seed, new Map(), { repeated: new Set(), forbidden: [], allowed });
      assert.equal(limited, sample(few, options, seed));
    }
  });
});

describe('selectTop', () => {
  it('agrees with a full sort, also with ties, NaN and infinities', () => {
    for (let seed = 0; seed < 60; seed++) {
      const logits = randomLogits(1 + seed * 7, seed, seed % 2 === 0);
      if (seed % 3 === 0) logits[seed % logits.length] = Number.NaN;
      if (seed % 5 === 0) logits[(seed * 2) % logits.length] = Number.NEGATIVE_INFINITY;
      if (seed % 7 === 0) logits[(seed * 3) % logits.length] = Number.POSITIVE_INFINITY;
      const expected = sortedIds(logits);
      for (const count of [0, 1, 2, 5, 40, 1000]) {
        assert.deepEqual(Array.from(selectTop(logits, count)), expected.slice(0, count));
      }
      assert.equal(argmax(logits), expected[0] ?? -1);
    }
  });
});

describe('sample', () => {
  it('draws what its version has always drawn: whoever changes these tokens makes a new version', () => {
    const logits = randomLogits(1000, 3);
    const drawn = (options: Partial<SamplingOptions>): number[] =>
      Array.from({ length: 8 }, (_, position) => sample(logits, { ...PLAIN, seed: 42, ...options }, position));
    assert.equal(SAMPLER_VERSION, 1);
    assert.deepEqual(drawn({}), [584, 989, 816, 754, 298, 298, 209, 325]);
    assert.deepEqual(drawn({ topK: 40, topP: 0.9 }), [622, 989, 868, 802, 385, 298, 224, 387]);
    assert.deepEqual(drawn({ minP: 0.05, temperature: 0.7 }), [584, 989, 818, 777, 298, 298, 212, 325]);
  });

  it('takes the likeliest token at temperature 0, the lowest id on a tie', () => {
    assert.equal(sample(Float32Array.of(1, 3, 3, 2), GREEDY, 0), 1);
    assert.equal(sample(Float32Array.of(Number.NaN, -3, Number.NEGATIVE_INFINITY), GREEDY, 0), 1);
  });

  it('agrees with the plain definition for every combination of filters', () => {
    let cases = 0;
    for (const topK of [0, 1, 3, 50]) {
      for (const topP of [0, 0.3, 0.9, 0.9999, 1]) {
        for (const minP of [0, 0.05, 0.5, 1]) {
          for (const temperature of [0.2, 1, 2]) {
            const options = { ...PLAIN, topK, topP, minP, temperature, seed: cases };
            const logits = randomLogits(300, cases, cases % 3 === 0);
            assert.equal(sample(logits, options, 5), slowSample(logits, options, 5), JSON.stringify(options));
            cases++;
          }
        }
      }
    }
    assert.equal(cases, 240);
  });

  it('finds a nucleus that is most of a flat, large vocabulary', () => {
    const logits = new Float32Array(20_000);
    const drawn = new Set<number>();
    for (let position = 0; position < 20; position++) {
      const token = sample(logits, { ...PLAIN, topP: 0.5 }, position);
      assert.ok(token < 10_000, `token ${token} is outside the first half`);
      drawn.add(token);
    }
    assert.ok(drawn.size > 15);
  });

  it('draws in proportion to the probabilities', () => {
    const probabilities = [0.5, 0.25, 0.15, 0.1];
    const logits = Float32Array.from(probabilities, Math.log);
    const counts = [0, 0, 0, 0];
    const draws = 8000;
    for (let position = 0; position < draws; position++) counts[sample(logits, PLAIN, position)]!++;
    for (const [token, probability] of probabilities.entries()) {
      const deviation = Math.sqrt(draws * probability * (1 - probability));
      assert.ok(Math.abs(counts[token]! - draws * probability) < 4 * deviation, `${counts}`);
    }
  });

  it('never draws NaN or impossible tokens and changes nothing it is given', () => {
    const logits = Float32Array.of(Number.NaN, 1, Number.NEGATIVE_INFINITY, 1, Number.NaN);
    const before = logits.slice();
    for (let position = 0; position < 200; position++) {
      const options = { ...PLAIN, topP: position % 2 === 0 ? 1 : 0.95, logitBias: new Map([[2, 5]]) };
      const token = sample(logits, options, position);
      assert.ok(token === 1 || token === 3, `drew ${token}`);
    }
    assert.deepEqual(logits, before);
  });

  it('draws among infinite logits only', () => {
    const logits = Float32Array.of(1, Number.POSITIVE_INFINITY, 3, Number.POSITIVE_INFINITY);
    const drawn = new Set(Array.from({ length: 50 }, (_, position) => sample(logits, PLAIN, position)));
    assert.deepEqual([...drawn].sort(), [1, 3]);
  });

  it('refuses logits without a number', () => {
    for (const logits of [new Float32Array(), Float32Array.of(Number.NaN, Number.NEGATIVE_INFINITY)]) {
      assert.throws(
        () => sample(logits, PLAIN, 9),
        (error) =>
          error instanceof StarlingError && error.code === 'numeric_overflow' && /position 9/.test(error.message),
      );
    }
  });

  it('applies bias and the penalties of generated tokens', () => {
    const logits = Float32Array.of(2, 1.5, 1, 0);
    assert.equal(
      sample(
        logits,
        {
          ...GREEDY,
          logitBias: new Map([
            [3, 100],
            [400, 1],
          ]),
        },
        0,
      ),
      3,
    );
    assert.equal(sample(logits, { ...GREEDY, logitBias: new Map([[0, -100]]) }, 0), 1);
    const generated = new Map([
      [0, 1],
      [1, 3],
      [9, 5],
    ]);
    assert.equal(sample(logits, { ...GREEDY, presencePenalty: 0.4 }, 0, generated), 0);
    assert.equal(sample(logits, { ...GREEDY, presencePenalty: 1.2 }, 0, generated), 2);
    // 2 − 0.9 = 1.1 beats 1.5 − 3·0.9 and 1.
    assert.equal(sample(logits, { ...GREEDY, frequencyPenalty: 0.9 }, 0, generated), 0);
    assert.equal(sample(logits, { ...GREEDY, frequencyPenalty: 1.1 }, 0, generated), 2);
  });
});

describe('logprobs', () => {
  it('gives the logarithms of the softmax, likeliest first', () => {
    const probabilities = [0.1, 0.6, 0.3];
    const logits = Float32Array.from(probabilities, (p) => Math.log(p) + 3);
    const result = logprobs(logits, 2, 2);
    assert.equal(result.token, 2);
    assert.ok(Math.abs(Math.exp(result.logprob) - 0.3) < 1e-6);
    assert.deepEqual(
      result.top.map(({ token }) => token),
      [1, 2],
    );
    assert.ok(Math.abs(Math.exp(result.top[0]!.logprob) - 0.6) < 1e-6);
    assert.deepEqual(logprobs(logits, 0, 0).top, []);
  });

  it('stays a number for JSON, whatever the logits', () => {
    const logits = Float32Array.of(Number.NaN, Number.NEGATIVE_INFINITY, 1);
    assert.equal(logprobs(logits, 0, 5).logprob, -9999);
    assert.equal(logprobs(logits, 1, 5).logprob, -9999);
    assert.deepEqual(logprobs(logits, 2, 5), { token: 2, logprob: 0, top: [{ token: 2, logprob: 0 }] });
    assert.ok(Math.abs(logprobs(Float32Array.of(Infinity, Infinity, 0), 0, 1).logprob + Math.log(2)) < 1e-12);
  });
});
