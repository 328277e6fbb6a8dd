import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExpertHeat, exchanges, type HeatedTile } from '../../../../daemon/engine/expert-heat.ts';
import { Random } from '../../../fixtures/random.ts';

const EXPERTS = 64;
const USED = 4;
const KEPT = EXPERTS / 2;

interface Pass {
  readonly read: number;
  readonly exchanged: number;
}

/** A mixture of which every second network is in memory at first. @param weights how often each is chosen */
function run(weights: readonly number[], passes: number): Pass[] {
  const random = new Random(7);
  const heat = new ExpertHeat(EXPERTS);
  const kept = new Set(Array.from({ length: KEPT }, (_, i) => 2 * i));
  const total = weights.reduce((a, b) => a + b, 0);
  const draw = (): number => {
    let left = (random.between(0, 2 ** 30) / 2 ** 30) * total;
    const found = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    return Math.max(0, found);
  };
  const tile = (network: number): HeatedTile => ({ place: network, content: 0, heat: heat.of(network) });
  return Array.from({ length: passes }, () => {
    const used = new Set<number>();
    while (used.size < USED) used.add(draw());
    heat.count((network) => used.has(network));
    const read = [...used].filter((network) => !kept.has(network));
    const idle = [...kept].filter((network) => !used.has(network));
    const moved = exchanges(read.map(tile), idle.map(tile));
    for (const { from, to } of moved) {
      kept.delete(to);
      kept.add(from);
    }
    return { read: read.length, exchanged: moved.length };
  });
}

const mean = (passes: readonly Pass[], of: (pass: Pass) => number): number =>
  passes.reduce((sum, pass) => sum + of(pass), 0) / passes.length;

test('the experts that are used most come to stay, within some passes', () => {
  const skewed = Array.from({ length: EXPERTS }, (_, i) => 1 / (((i * 37) % EXPERTS) + 1));
  const passes = run(skewed, 1000);
  const [first, later] = [passes.slice(0, 20), passes.slice(200)];
  assert.ok(mean(later, ({ read }) => read) < 0.6 * mean(first, ({ read }) => read));
  assert.ok(mean(later, ({ exchanged }) => exchanged) < 0.02);
});

test('where all are used alike, hardly any change places', () => {
  const passes = run(Array<number>(EXPERTS).fill(1), 1000);
  assert.ok(mean(passes.slice(200), ({ exchanged }) => exchanged) < 0.05);
});

test('uses of long ago count for less, and heat stays a number for ever', () => {
  const heat = new ExpertHeat(2);
  for (let pass = 0; pass < 1000; pass++) heat.count((network) => network === 0);
  for (let pass = 0; pass < 600; pass++) heat.count((network) => network === 1);
  assert.ok(heat.of(1) > heat.of(0));
  for (let pass = 0; pass < 100_000; pass++) heat.count(() => true);
  assert.ok(Math.abs(heat.of(0) - heat.of(1)) < 1e-6 && heat.of(0) > 300 && heat.of(0) < 400);
});

test('tiles change places with others of the same content only, the hottest with the coldest', () => {
  const tile = (place: number, content: number, heat: number): HeatedTile => ({ place, content, heat });
  const moved = exchanges(
    [tile(1, 0, 20), tile(2, 1, 30), tile(3, 0, 40)],
    [tile(5, 0, 9), tile(6, 0, 1), tile(7, 2, 0)],
  );
  assert.deepEqual(moved, [
    { from: 3, to: 6 },
    { from: 1, to: 5 },
  ]);
});
