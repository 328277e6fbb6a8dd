import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginningOf, byBeginnings } from '../../../../coordinator/batches/beginnings.ts';
import { Random } from '../../../fixtures/random.ts';

const chat = (system: string, user: string) => ({
  messages: [
    { role: 'system', content: system },
    { role: 'user', content: user },
  ],
});

/** The order in which bodies come, by their numbers. */
const order = (bodies: readonly object[]): number[] =>
  byBeginnings(bodies.map((body, i) => ({ i, beginning: beginningOf({ ...body }) }))).map(({ i }) => i);

test('requests with a common beginning come one after the other, in the order of the file within', () => {
  const systems = ['a', 'b', 'c'].map((letter) => letter.repeat(500));
  const bodies = Array.from({ length: 30 }, (_, i) => chat(systems[i % 3]!, `${i}`));
  const groups = order(bodies).map((i) => i % 3);
  assert.equal(groups.filter((group, at) => group !== groups[at - 1]).length, 3, groups.join());
  for (const group of [0, 1, 2]) {
    const within = order(bodies).filter((i) => i % 3 === group);
    assert.deepEqual(
      within,
      [...within].sort((a, b) => a - b),
    );
  }
});

test('so do those that share more, within those that share less', () => {
  const [system, one, other] = ['s', 'x', 'y'].map((letter) => letter.repeat(300)) as [string, string, string];
  const bodies = [one, other, one, other].map((text, i) => chat(system, `${text} ${i}`));
  const far = chat('z'.repeat(300), one);
  const sorted = order([bodies[0]!, far, ...bodies.slice(1)]).map((i) => 'afbab'[i]);
  assert.match(sorted.join(''), /^f?(aabb|bbaa)f?$/);
});

test('neighbours share as much as any order can give them', () => {
  const random = new Random(7);
  const words = ['u', 'v', 'w'].map((letter) => letter.repeat(100));
  const prompts = Array.from({ length: 200 }, () =>
    Array.from({ length: 1 + random.below(6) }, () => words[random.below(3)]!).join(''),
  );
  const beginnings = prompts.map((prompt) => beginningOf({ prompt }));
  const shared = (a: Uint32Array, b: Uint32Array): number => {
    const end = a.findIndex((block, i) => block !== b[i]);
    return end < 0 ? a.length : end;
  };
  // In the order of a tree, each has as much in common with the one before as with any that came earlier.
  const sorted = byBeginnings(beginnings.map((beginning) => ({ beginning })));
  for (const [at, { beginning }] of sorted.entries()) {
    if (at === 0) continue;
    const best = Math.max(...sorted.slice(0, at).map((other) => shared(beginning, other.beginning)));
    assert.equal(shared(beginning, sorted[at - 1]!.beginning), best);
  }
});

test('tools and instructions count before messages; prompts of any dialect are looked at', () => {
  const tools = [{ type: 'function', function: { name: 'f'.repeat(100) } }];
  const text = 't'.repeat(200);
  for (const body of [
    { prompt: text },
    { prompt: [text, text] },
    { input: text },
    { system: text, messages: [] },
    { instructions: text },
    { tools, messages: [] },
  ]) {
    assert.ok(beginningOf(body).length >= 1, JSON.stringify(body).slice(0, 40));
  }
  assert.deepEqual(beginningOf({ model: text }).length, 0);
});

test('what is nested too deeply has no beginning', () => {
  const deep = JSON.parse(`{"messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`) as Record<string, unknown>;
  assert.equal(beginningOf(deep).length, 0);
});
