import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Clock, SerialResource } from '../../../../scripts/simulation/clock.ts';
import { lineChart } from '../../../../scripts/simulation/line-chart.ts';
import { TileRing } from '../../../../scripts/simulation/tile-ring.ts';
import { star, twoLevels } from '../../../../scripts/simulation/topology.ts';
import { STEADY, varied } from '../../../../scripts/simulation/variation.ts';
import { Random } from '../../../fixtures/random.ts';

describe('the clock', () => {
  it('lets happen what is due in order, and in the order of asking at the same moment', () => {
    const clock = new Clock();
    const random = new Random(1);
    const happened: [number, number][] = [];
    for (let asked = 0; asked < 500; asked++) {
      clock.at(random.below(40), () => happened.push([clock.now, asked]));
    }
    clock.at(50, () => clock.at(10, () => happened.push([clock.now, 500])));
    clock.run();
    assert.deepEqual(happened.at(-1), [50, 500]);
    assert.deepEqual(
      happened,
      [...happened].sort(([a, i], [b, j]) => a - b || i - j),
    );
    assert.equal(happened.length, 501);
  });

  it('has a resource serve one after the other', () => {
    const link = new SerialResource();
    assert.deepEqual([link.take(0, 3), link.take(1, 2), link.take(10, 1)], [3, 5, 11]);
    assert.equal(link.busyMs, 6);
  });
});

describe('a ring of tiles', () => {
  it('reads ahead while others are computed, as far as it has slots', () => {
    const ring = new TileRing(2, () => 10);
    // Two are there after 20 ms, the third is read when the first one has left.
    assert.equal(ring.compute(100, 9, [1, 1, 1]), 103 + 10 + 3);
  });

  it('waits for nothing where all stays in memory, and for the disk alone where it is slower', () => {
    assert.equal(new TileRing(0, () => 1e9).compute(5, 4, [0, 0]), 9);
    const ring = new TileRing(4, (bytes) => bytes);
    let now = 0;
    for (let pass = 0; pass < 50; pass++) now = ring.compute(now, 3, [20, 0, 30]);
    assert.ok(Math.abs(now - 50 * 50) < 5, String(now));
  });
});

describe('topologies', () => {
  it('have every device answer one before it, at most two levels away', () => {
    for (let count = 1; count <= 256; count++) {
      for (const topology of [star(count), twoLevels(count)]) {
        assert.equal(topology.length, count);
        for (const [d, to] of topology.entries()) {
          if (d === 0) assert.equal(to, null);
          else assert.ok(to === 0 || (to! < d && topology[to!] === 0), `${count}: ${d} answers ${to}`);
        }
      }
    }
  });

  it('have about as many groups as devices in each', () => {
    const topology = twoLevels(101);
    const sizes = [...topology.keys()]
      .filter((d) => topology[d] === 0)
      .map((first) => topology.filter((to) => to === first).length);
    assert.deepEqual(
      sizes,
      Array.from({ length: 10 }, () => 9),
    );
  });
});

describe('variation', () => {
  it('keeps the median, and has a tail that is cut off', () => {
    const random = new Random(5);
    assert.equal(varied(3, STEADY, random), 3);
    const tail = { chance: 0.1, shape: 1, leastMs: 50, mostMs: 60 };
    const drawn = Array.from({ length: 4000 }, () => varied(3, { sigma: 0.3, tail }, random)).sort((a, b) => a - b);
    assert.ok(Math.abs(drawn[1800]! - 3) < 0.15, String(drawn[1800]));
    const late = drawn.filter((ms) => ms > 50);
    assert.ok(late.length > 300 && late.length < 500, String(late.length));
    assert.ok(drawn.at(-1)! <= 60 + 3 * Math.exp(0.3 * 3.5), String(drawn.at(-1)));
  });
});

describe('a line chart', () => {
  it('places points by their logarithms, and escapes names', () => {
    const series = [{ name: 'a<b', points: [[1, 1] as const, [10, 10] as const, [100, 100] as const] }];
    const svg = lineChart({ title: 't', x: 'x', y: 'y', series });
    assert.match(svg, /points="72,366 296,205 520,44"/);
    assert.match(svg, /a&lt;b/);
    assert.doesNotMatch(svg, /NaN/);
  });

  it('refuses what has no logarithm', () => {
    const chart = (points: readonly (readonly [number, number])[]) => () =>
      lineChart({ title: '', x: '', y: '', series: [{ name: '', points }] });
    assert.throws(chart([[1, 0]]), RangeError);
    assert.throws(chart([]), RangeError);
  });
});
