// What the reference computes with the parts of a tile that only some models have, against straightforward f64
// mathematics.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ACTIVATION_FUNCTION_NAMES,
  type ActivationFunction,
  KV_PAGE,
  kvPageBytes,
  panelBytes,
} from '../../../kernels/formats.ts';
import { halfToFloat } from '../../../kernels/half.ts';
import { Random } from '../../fixtures/random.ts';
import { type BenchMatrix, product, ReferenceBench, readyHead } from '../../fixtures/reference-bench.ts';

function assertNear(actual: readonly number[], expected: readonly number[], tolerance: number, where: string): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of expected.entries()) {
    assert.ok(Math.abs(actual[i]! - value) <= tolerance, `${where}, ${i}: ${actual[i]}, not ${value}`);
  }
}

const HEADS = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;

for (const [biased, normed] of HEADS) {
  test(`keys ${biased ? 'with' : 'without'} a bias, ${normed ? 'normed' : 'as they are'}, are those of f64`, () => {
    const [cols, headDim, rows, position, eps] = [64, 40, 3, 62, 1e-6];
    const bench = new ReferenceBench(new Random(7));
    const x = bench.draw(rows * cols);
    const [k, v] = [bench.matrix(headDim, cols), bench.matrix(headDim, cols)];
    const [kBias, vBias, kNorm] = [bench.draw(headDim), bench.draw(headDim), bench.draw(headDim)];
    const cache = bench.arena.alloc(2 * kvPageBytes('f16', headDim));
    const { kernels } = bench;
    const prepared = kernels.prepareKeyValue({
      k: k.placed,
      v: v.placed,
      kBias: biased ? bench.floats(kBias) : null,
      vBias: biased ? bench.floats(vBias) : null,
      kNorm: normed ? bench.floats(kNorm) : null,
      kFactors: null,
      eps,
      kv: 'f16',
      headDim,
      cache,
      buffers: bench.buffers(x, cols, headDim, 8, rows),
      step: bench.step(position, rows, headDim, [1, 0]),
    });
    kernels.keyValue(prepared, 0, rows);
    for (let r = 0; r < rows; r++) {
      const [page, slot] = [position + r < KV_PAGE ? 1 : 0, (position + r) % KV_PAGE];
      const units = new Uint16Array(
        bench.arena.bytes(cache + page * kvPageBytes('f16', headDim), kvPageBytes('f16', headDim)).slice().buffer,
      );
      const row = x.slice(r * cols, (r + 1) * cols);
      const key = readyHead(product(k, row), biased ? kBias : null, normed ? kNorm : null, eps, position + r);
      const value = product(v, row).map((one, d) => one + (biased ? vBias[d]! : 0));
      const stored = (at: (d: number) => number): number[] =>
        Array.from({ length: headDim }, (_, d) => halfToFloat(units[at(d)]!));
      // Values are below 8, where an f16 is within 2^-9 of what it stands for.
      assertNear(
        stored((d) => d * KV_PAGE + slot),
        key,
        2 ** -9,
        `key of row ${r}`,
      );
      assertNear(
        stored((d) => (KV_PAGE + slot) * headDim + d),
        value,
        2 ** -9,
        `value of row ${r}`,
      );
    }
  });
}

interface AttentionCase {
  readonly window: number;
  readonly softCap: number;
  readonly hasSinks: boolean;
  readonly biased: boolean;
  readonly normed: boolean;
}

const PLAIN: AttentionCase = { window: 0, softCap: 0, hasSinks: false, biased: false, normed: false };
const ATTENTION: Readonly<Record<string, Partial<AttentionCase>>> = {
  'as it is': {},
  'with a bias': { biased: true },
  'of normed queries': { normed: true },
  'over a window within a page': { window: 5 },
  'over a window of several pages': { window: 100 },
  'over a window that is wider than what there is': { window: 1000 },
  'with bounded scores': { softCap: 1.5 },
  'with sinks': { hasSinks: true },
  'with all of it': { window: 70, softCap: 2, hasSinks: true, biased: true, normed: true },
};

for (const [name, changes] of Object.entries(ATTENTION)) {
  test(`attention ${name} is that of f64`, () => {
    const { window, softCap, hasSinks, biased, normed } = { ...PLAIN, ...changes };
    const [cols, headDim, group, kvHeads, rows, position, eps] = [32, 8, 3, 2, 3, 150, 1e-6];
    const heads = group * kvHeads;
    const [inner, outRows, pages] = [64, 16, [2, 0, 1]];
    const random = new Random(11);
    const bench = new ReferenceBench(random);
    const { kernels } = bench;
    const x = bench.draw(rows * cols);
    const [q, out] = [bench.matrix(inner, cols, heads * headDim), bench.matrix(outRows, inner)];
    const [qBias, qNorm, sinks] = [bench.draw(heads * headDim), bench.draw(headDim, 2), bench.draw(heads)];
    const scale = 0.75;
    // Multiples of 1/64 below 2 are exact in f16.
    const coarse = (): number[] => Array.from({ length: headDim }, () => random.between(-127, 127) / 64);
    const stored = position + rows;
    const keys = Array.from({ length: kvHeads }, () => Array.from({ length: stored }, coarse));
    const values = Array.from({ length: kvHeads }, () => Array.from({ length: stored }, coarse));
    const pageBytes = kvPageBytes('f16', headDim);
    const caches = keys.map((ofHead, head) => {
      const cache = bench.arena.alloc(pages.length * pageBytes);
      for (const [p, key] of ofHead.entries()) {
        const page = cache + pages[Math.floor(p / KV_PAGE)]! * pageBytes;
        const [k, v] = [bench.floats(key), bench.floats(values[head]![p]!)];
        kernels.kvStore('f16', k, v, headDim, page, p % KV_PAGE);
      }
      return cache;
    });
    const buffers = bench.buffers(x, cols, inner, outRows, rows);
    const prepared = kernels.prepareAttention({
      q: q.placed,
      qBias: biased ? bench.floats(qBias) : null,
      qNorm: normed ? bench.floats(qNorm) : null,
      qFactors: null,
      eps,
      out: out.placed,
      kv: 'f16',
      headDim,
      scale,
      window,
      softCap,
      sinks: hasSinks ? bench.floats(sinks) : null,
      group,
      caches,
      buffers,
      step: bench.step(position, rows, headDim, pages),
      limit: 2 ** 50,
    });
    kernels.queries(prepared, 0, rows);
    assert.equal(kernels.attention(prepared, 0, rows, true), true);
    for (let r = 0; r < rows; r++) {
      const at = position + r;
      const queries = product(q, x.slice(r * cols, (r + 1) * cols));
      const attended = new Array<number>(inner).fill(0);
      for (let head = 0; head < heads; head++) {
        const part = (of: readonly number[]): number[] => of.slice(head * headDim, (head + 1) * headDim);
        const query = readyHead(part(queries), biased ? part(qBias) : null, normed ? qNorm : null, eps, at);
        const kvHead = Math.floor(head / group);
        const oldest = window > 0 ? Math.max(0, at - window + 1) : 0;
        const seen = Array.from({ length: at + 1 - oldest }, (_, i) => oldest + i);
        const scores = seen.map((p) => {
          const score = keys[kvHead]![p]!.reduce((sum, value, d) => sum + value * query[d]!, 0) * scale;
          return softCap > 0 ? softCap * Math.tanh(score / softCap) : score;
        });
        const shares = scores.map((score) => Math.exp(score));
        const total = shares.reduce((sum, share) => sum + share, hasSinks ? Math.exp(sinks[head]!) : 0);
        for (let d = 0; d < headDim; d++) {
          const sum = shares.reduce((all, share, i) => all + share * values[kvHead]![seen[i]!]![d]!, 0);
          attended[head * headDim + d] = sum / total;
        }
      }
      // Values are below 2, and scores below 40: their errors of a few 1e-6 are the relative ones of their
      // exponentials.
      assertNear(
        bench.readSums(buffers.sums + r * buffers.sumStride, outRows),
        product(out, attended),
        3e-5,
        `row ${r}`,
      );
    }
  });
}

/** Gated units as f64 has them. */
const UNITS: Readonly<Record<ActivationFunction, (gate: number, up: number) => number>> = {
  silu: (g, u) => (g / (1 + Math.exp(-g))) * u,
  gelu: (g, u) => (g / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3))) * u,
  clamped: (g, u) => {
    const gate = Math.min(g, 7);
    return (gate / (1 + Math.exp(-1.702 * gate))) * (Math.max(-7, Math.min(7, u)) + 1);
  },
};

/** What a feed-forward tile adds to a row's sums; the last 8 columns of its inner width are padding. */
function feedForwardOf(
  [gate, up, down]: readonly [BenchMatrix, BenchMatrix, BenchMatrix],
  [gateBias, upBias]: readonly [readonly number[], readonly number[]],
  activation: ActivationFunction,
  x: readonly number[],
  weight = 1,
): number[] {
  const [gates, ups] = [product(gate, x), product(up, x)];
  const inner = gates.map((value, i) => UNITS[activation](value + gateBias[i]!, ups[i]! + upBias[i]!) * weight);
  return product(down, inner);
}

function feedForwardSetUp(activation: ActivationFunction, biased: boolean, rows: number) {
  const [cols, inner, used, outRows] = [64, 32, 24, 16];
  const bench = new ReferenceBench(new Random(13));
  const x = bench.draw(rows * cols, 6);
  const matrices = [
    bench.matrix(inner, cols, used),
    bench.matrix(inner, cols, used),
    bench.matrix(outRows, inner),
  ] as const;
  const bias = (): number[] => [...bench.draw(used), ...new Array<number>(inner - used).fill(0)];
  const biases = biased ? ([bias(), bias()] as const) : ([new Array(inner).fill(0), new Array(inner).fill(0)] as const);
  const buffers = bench.buffers(x, cols, inner, outRows, rows);
  const [gate, up, down] = matrices;
  const prepared = bench.kernels.prepareFeedForward({
    gate: gate.placed,
    up: up.placed,
    down: down.placed,
    gateBias: biased ? bench.floats(biases[0]) : null,
    upBias: biased ? bench.floats(biases[1]) : null,
    activation,
    gathered: bench.arena.alloc(panelBytes('f32', cols, rows)),
    buffers,
    limit: 2 ** 50,
  });
  const rowOf = (r: number): number[] => x.slice(r * cols, (r + 1) * cols);
  const sumsOf = (r: number): number[] => bench.readSums(buffers.sums + r * buffers.sumStride, outRows);
  const expected = (r: number, weight?: number): number[] =>
    feedForwardOf(matrices, biases, activation, rowOf(r), weight);
  return { bench, buffers, prepared, sumsOf, expected };
}

for (const activation of ACTIVATION_FUNCTION_NAMES) {
  for (const biased of [true, false]) {
    test(`a feed-forward tile with ${activation} ${biased ? 'and biases ' : ''}is that of f64`, () => {
      const rows = 3;
      const { bench, prepared, sumsOf, expected } = feedForwardSetUp(activation, biased, rows);
      assert.equal(bench.kernels.feedForward(prepared, 0, rows, true), true);
      // Inner values are below 500, and their errors some 1e-7 of that.
      for (let r = 0; r < rows; r++) assertNear(sumsOf(r), expected(r), 2e-4, `row ${r}`);
    });
  }
}

test('experts add their weighted results to the rows that they are for, and make fresh sums of others zeros', () => {
  const rows = 5;
  const { bench, prepared, sumsOf, expected } = feedForwardSetUp('clamped', true, rows);
  const expert = (list: number[], weights: number[], fresh: boolean): boolean => {
    const [at, of] = [bench.words(list), bench.floats(weights)];
    return bench.kernels.expert(prepared, 0, rows, at, of, list.length, fresh);
  };
  assert.equal(expert([1, 4], [0.25, -2], true), true);
  for (const row of [0, 2, 3]) assert.deepEqual(sumsOf(row), new Array(16).fill(0));
  assert.equal(expert([], [], false), true);
  assert.equal(expert([0, 1, 2, 3], [1, 0.5, 0, 3], false), true);
  // See above; weights make errors up to 3 times as large.
  for (const [row, weight] of [1, 0.75, 0, 3, -2].entries()) {
    assertNear(sumsOf(row), expected(row, weight), 6e-4, `row ${row}`);
  }
  assert.equal(expert([], [], true), true);
  for (let row = 0; row < rows; row++) assert.deepEqual(sumsOf(row), new Array(16).fill(0));
});
