import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChoiceRules, ExpertChooser } from '../../../coordinator/choose-experts.ts';

const rules = (fields: Partial<ChoiceRules> = {}): ChoiceRules => ({
  ...{ gating: 'softmax', used: 2, normalised: true, scale: 1, choiceBias: null },
  ...fields,
});
const chosen = (scores: number[], fields: Partial<ChoiceRules> = {}): (readonly [number, number])[] => {
  const { networks, weights } = new ExpertChooser(rules(fields), scores.length).choose(Float32Array.from(scores));
  return [...networks].map((network, i) => [network, weights[i]!]);
};

test('the best networks are chosen, of equal ones the first', () => {
  const names = (scores: number[], used: number): number[] => chosen(scores, { used }).map(([network]) => network);
  assert.deepEqual(names([0, 3, 1, 2], 3), [1, 3, 2]);
  assert.deepEqual(names([1, 1, 1, 1], 2), [0, 1]);
  assert.deepEqual(names([-1e30, 1e30, 0], 1), [1]);
});

test('weights are parts of all, or sum to one, and are scaled at last', () => {
  const scores = [Math.log(1), Math.log(2), Math.log(5)];
  assert.deepEqual(chosen(scores, { normalised: false }), [
    [2, Math.fround(5 / 8)],
    [1, Math.fround(2 / 8)],
  ]);
  assert.deepEqual(
    chosen(scores).map(([, weight]) => Math.round(weight * 1e6)),
    [5 / 7, 2 / 7].map((weight) => Math.round(weight * 1e6)),
  );
  assert.deepEqual(
    chosen(scores, { scale: 3 }).map(([, weight]) => Math.round(weight * 1e6)),
    [15 / 7, 6 / 7].map((weight) => Math.round(weight * 1e6)),
  );
  assert.deepEqual(chosen(scores, { gating: 'softmax-of-chosen', normalised: false }).length, 2);
  const [first, second] = chosen(scores, { gating: 'softmax-of-chosen', normalised: false });
  assert.ok(Math.abs(first![1] - 5 / 7) < 1e-6 && Math.abs(second![1] - 2 / 7) < 1e-6);
});

test('a bias of choices changes who is chosen, not their weights', () => {
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
  const biased = chosen([2, 1, -3], { gating: 'sigmoid', normalised: false, choiceBias: Float32Array.of(0, 0, 5) });
  assert.deepEqual(biased, [
    [2, Math.fround(sigmoid(-3))],
    [0, Math.fround(sigmoid(2))],
  ]);
  // Sigmoids that are all but zero are not blown up to sum to one.
  const [tiny] = chosen([-80, -90], { gating: 'sigmoid' });
  assert.ok(tiny![1] < 1e-25, `${tiny}`);
});

test('whatever the scores, networks are those that a stable sort puts first, row after row', () => {
  const used = 5;
  const bias = Float32Array.from({ length: 23 }, (_, i) => (i % 4) / 2);
  for (const choiceBias of [null, bias]) {
    const chooser = new ExpertChooser(rules({ gating: 'sigmoid', used, choiceBias }), bias.length);
    for (let row = 0; row < 200; row++) {
      // Few values, so that many are equal.
      const scores = Float32Array.from(bias, (_, i) => ((row * 7919 + i * 104_729) % 31) % 6);
      const by = [...scores].map((score, i) => 1 / (1 + Math.exp(-score)) + (choiceBias?.[i] ?? 0));
      const order = [...by.keys()].sort((a, b) => by[b]! - by[a]!);
      assert.deepEqual([...chooser.choose(scores).networks], order.slice(0, used));
    }
  }
});
