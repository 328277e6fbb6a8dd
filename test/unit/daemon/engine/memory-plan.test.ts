import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineSpec } from '../../../../daemon/engine/engine-spec.ts';
import { executionOrder } from '../../../../daemon/engine/layout.ts';
import { type MemoryParts, planMemory } from '../../../../daemon/engine/memory-plan.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import type { TileShape } from '../../../../daemon/tile/tile.ts';
import { attentionSpec, feedForwardSpec } from '../../../fixtures/model-phases.ts';

const LAYERS = 8;
const spec: EngineSpec = {
  ...{ dim: 1024, cols: 1024, vocabSize: 1000, rmsEps: 1e-5, ropes: [128], head: 'q8', kv: 'f16', kvPages: 8 },
  layers: Array.from({ length: LAYERS }, () => [
    attentionSpec({ input: 'q8', tiles: 8, heads: 8, kvHeads: 4, headDim: 128 }),
    feedForwardSpec({ input: 'q8', tiles: 16 }),
  ]),
};
const matrix = (rows: number, cols: number) => ({ format: 'Q8_0', rows, cols }) as const;
const tiles: TileShape[] = executionOrder(
  spec,
  Array.from({ length: LAYERS }, (_, layer): TileShape[] => [
    ...[0, 1, 2, 3].map(
      (first): TileShape => ({
        kind: 'kv',
        layer,
        index: first,
        first,
        count: 1,
        matrices: [matrix(128, 1024), matrix(128, 1024)],
        vectors: [],
      }),
    ),
    ...Array.from(
      { length: 16 },
      (_, index): TileShape => ({
        kind: 'ffn',
        layer,
        index,
        first: index * 256,
        count: 256,
        matrices: [matrix(256, 1024), matrix(256, 1024), matrix(1024, 256)],
        vectors: [],
      }),
    ),
  ]).flat(),
);
const options = {
  base: 80e6,
  threadBytes: 10e6,
  spec,
  tiles,
  threads: 2,
  scratchBytes: 0,
  arenaBytes: Number.POSITIVE_INFINITY,
};

const sum = ({ budget: _, ...parts }: MemoryParts): number => Object.values(parts).reduce((a, b) => a + b, 0);

/** The least that the error of a budget that is too small names, in bytes. */
function leastNamed(budget: number): number {
  try {
    planMemory({ ...options, budget });
  } catch (error) {
    assert.ok(error instanceof StarlingError && error.code === 'memory_too_small', String(error));
    return Number(/the least that would do is --memory (\d+)MB/.exec(error.message)?.[1]) * 1e6;
  }
  throw new Error(`${budget} bytes should not do`);
}

test('the parts are within the budget, from the least to everything', () => {
  const least = leastNamed(1e6);
  const streamed: number[] = [];
  for (let budget = least; budget < 350e6; budget += 7e6) {
    const { plan, parts } = planMemory({ ...options, budget });
    assert.equal(parts.budget, budget);
    assert.ok(sum(parts) <= budget, `${sum(parts)} of ${budget}`);
    streamed.push(plan.streamed);
  }
  assert.equal(streamed.at(-1), 0, 'in the end everything is in memory');
  // The least is named in whole megabytes.
  assert.ok(streamed[0]! > 0.9 * tiles.length, 'with the least next to nothing is');
});

test('the least that an error names would do, and a megabyte less would not', () => {
  const least = leastNamed(100e6);
  assert.equal(planMemory({ ...options, budget: least }).parts.budget, least);
  assert.equal(leastNamed(least - 1e6), least);
});

test('without a window there are no readers', () => {
  const all = planMemory({ ...options, budget: 1e9 }).parts;
  const some = planMemory({ ...options, budget: leastNamed(1e6) }).parts;
  assert.equal(all.window, 0);
  assert.ok(some.threads > all.threads);
});

test('caches count in full, and a longer context needs more', () => {
  const { caches } = planMemory({ ...options, budget: 1e9 }).parts;
  // Positions × K and V × headDim × two bytes, for each key/value head of each layer.
  assert.equal(caches, LAYERS * 4 * 8 * 64 * 2 * 128 * 2);
  const longer = planMemory({ ...options, spec: { ...spec, kvPages: 16 }, budget: 1e9 }).parts;
  assert.equal(longer.caches, 2 * caches);
});

test('what an arena cannot hold streams', () => {
  const arenaBytes = 100e6;
  const { plan, parts } = planMemory({ ...options, budget: 1e9, arenaBytes });
  assert.ok(plan.streamed > 0);
  assert.ok(parts.caches + parts.buffers + parts.pinned + parts.window <= arenaBytes);
  assert.throws(
    () => planMemory({ ...options, budget: 1e9, arenaBytes: parts.caches }),
    (error) => error instanceof StarlingError && error.code === 'out_of_memory',
  );
});
