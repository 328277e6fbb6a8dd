import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  leastTileMemory,
  PAGE,
  planWindow,
  residentBytes,
  slotBytesFor,
  type WindowPlan,
} from '../../../../daemon/engine/window-plan.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { Random } from '../../../fixtures/random.ts';

const MIB = 2 ** 20;

const memoryOf = ({ pinnedBytes, windowBytes }: WindowPlan): number => pinnedBytes + windowBytes;

/** What a plan promises, whatever the tiles. */
function check(plan: WindowPlan, tileBytes: readonly number[]): void {
  const places = plan.stream.filter((place) => place !== null);
  assert.deepEqual(
    places,
    places.map((_, i) => i),
    'streamed tiles are numbered in execution order',
  );
  assert.equal(places.length, plan.streamed);
  const pinned = tileBytes.filter((_, i) => plan.stream[i] === null);
  assert.equal(
    plan.pinnedBytes,
    pinned.reduce((sum, bytes) => sum + residentBytes(bytes), 0),
  );
  if (plan.streamed === 0) return;
  assert.equal(plan.streamed % plan.slots, 0, 'each tile always comes to the same slot');
  assert.ok(plan.slots >= 2);
  assert.equal(plan.slotBytes % PAGE, 0);
  for (const [i, bytes] of tileBytes.entries()) {
    if (plan.stream[i] !== null) assert.ok(slotBytesFor(bytes) <= plan.slotBytes);
  }
}

test('everything stays in memory where it fits', () => {
  const tiles = [5 * MIB, 3 * MIB, 100];
  const plan = planWindow(tiles, 8 * MIB + 128);
  assert.deepEqual(plan.stream, [null, null, null]);
  assert.deepEqual([plan.streamed, plan.slots, plan.windowBytes, plan.streamedBytes], [0, 0, 0, 0]);
});

test('one byte less, and some tiles are streamed', () => {
  const tiles = Array.from({ length: 40 }, () => 2 * MIB);
  assert.equal(planWindow(tiles, 80 * MIB).streamed, 0);
  const plan = planWindow(tiles, 80 * MIB - 1);
  check(plan, tiles);
  assert.ok(plan.streamed > 0 && plan.streamed <= 20, `${plan.streamed}`);
  assert.ok(memoryOf(plan) < 80 * MIB);
});

test('pinned tiles are spread evenly over the execution order', () => {
  const tiles = Array.from({ length: 1000 }, () => 2 * MIB);
  for (const share of [0.1, 0.3, 0.5, 0.8]) {
    const plan = planWindow(tiles, share * 2000 * MIB);
    const expected = plan.streamed / tiles.length;
    // In every run of tiles as long as a layer or so, as many are streamed as on average: no stretch outpaces the disk.
    for (let from = 0; from + 40 <= tiles.length; from += 13) {
      const streamed = plan.stream.slice(from, from + 40).filter((place) => place !== null).length;
      assert.ok(Math.abs(streamed - 40 * expected) <= 1, `${streamed} of 40 at ${from}, on average ${40 * expected}`);
    }
  }
});

test('more memory never means more reading, and all of it is used', () => {
  const tiles = Array.from({ length: 300 }, (_, i) => (i % 7 === 0 ? 1.2 : 1.8) * MIB);
  let before = Number.POSITIVE_INFINITY;
  for (let budget = leastTileMemory(tiles); budget < 560 * MIB; budget += 5 * MIB) {
    const plan = planWindow(tiles, budget);
    check(plan, tiles);
    assert.ok(memoryOf(plan) <= budget);
    assert.ok(plan.streamedBytes <= before + 20 * MIB, `${plan.streamedBytes} bytes at ${budget}, ${before} with less`);
    // What is left over is less than a ring's worth of tiles, as the streamed ones come in multiples of the slots.
    assert.ok(plan.streamed === 0 || budget - memoryOf(plan) < 16 * 2 * MIB);
    before = plan.streamedBytes;
  }
});

test('the least memory does, and a byte less is an error', () => {
  const random = new Random(7);
  for (let round = 0; round < 200; round++) {
    const tiles = Array.from({ length: 1 + random.below(60) }, () => 64 + random.below(3 * MIB));
    const least = leastTileMemory(tiles);
    const plan = planWindow(tiles, least);
    check(plan, tiles);
    assert.ok(memoryOf(plan) <= least);
    assert.throws(
      () => planWindow(tiles, least - 1),
      (error) => error instanceof StarlingError && error.code === 'memory_too_small',
    );
    const budget = least + random.below(40 * MIB);
    const larger = planWindow(tiles, budget);
    check(larger, tiles);
    assert.ok(memoryOf(larger) <= budget);
  }
});

test('no tiles need no memory', () => {
  assert.equal(leastTileMemory([]), 0);
  assert.equal(planWindow([], 0).streamed, 0);
});

test('tiles that only some passes use are streamed before any other is', () => {
  const tiles = Array.from({ length: 90 }, () => MIB);
  const rare = tiles.map((_, i) => i % 3 !== 0);
  for (const budget of [80, 50, 30]) {
    const plan = planWindow(tiles, budget * MIB, rare);
    check(plan, tiles);
    const streamed = rare.filter((_, i) => plan.stream[i] !== null);
    assert.ok(streamed.length > 0);
    const others = streamed.filter((each) => !each).length;
    assert.ok(others === 0 || streamed.length - others === 60, `${budget}: ${others} of ${streamed.length}`);
  }
});
