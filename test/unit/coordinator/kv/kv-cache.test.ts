import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KvCache, type KvSequence } from '../../../../coordinator/kv/kv-cache.ts';
import { pagesFor } from '../../../../daemon/engine/engine-spec.ts';
import { KV_PAGE } from '../../../../kernels/formats.ts';
import { Random } from '../../../fixtures/random.ts';

const text = (length: number, seed = 1): number[] => {
  const random = new Random(seed);
  return Array.from({ length }, () => random.below(1000));
};

/** Opens a sequence and computes all of its tokens. */
function compute(kv: KvCache, tokens: readonly number[], most = tokens.length): KvSequence {
  const sequence = kv.open(tokens, most);
  assert.ok(sequence !== null);
  kv.grow(sequence, tokens.length);
  kv.advance(sequence, tokens, tokens.length);
  return sequence;
}

describe('KvCache', () => {
  it('gives a second turn all that the first has computed, the page filled in part too', () => {
    const kv = new KvCache(16);
    const first = text(150);
    const sequence = compute(kv, first);
    const pages = [...sequence.pages];
    kv.close(sequence, first);
    assert.deepEqual(kv.counts, { pages: 16, free: 13, cached: 3, sequences: 0 });
    const second = [...first, ...text(30, 2)];
    const next = kv.open(second, 300);
    assert.equal(next?.computed, 150);
    assert.deepEqual(next?.pages, pages);
    kv.close(next!, second);
    assert.deepEqual(kv.counts, { pages: 16, free: 13, cached: 3, sequences: 0 });
  });

  it('shares full pages among sequences that are open, and leaves the last token to be computed', () => {
    const kv = new KvCache(16);
    const system = text(2 * KV_PAGE);
    const one = compute(kv, [...system, 1, 2, 3]);
    const two = kv.open([...system, 4, 5], 200)!;
    assert.equal(two.computed, 2 * KV_PAGE);
    assert.deepEqual(two.pages, one.pages.slice(0, 2));
    // The page that `one` is filling is its own.
    kv.grow(two, 2 * KV_PAGE + 2);
    assert.notEqual(two.pages[2], one.pages[2]);
    assert.equal(kv.open(system, 200)?.computed, KV_PAGE);
  });

  it('goes on in a page filled in part only where that keeps more than it loses', () => {
    const kv = new KvCache(16);
    const first = text(40);
    kv.close(compute(kv, first), first);
    assert.equal(kv.open([...first.slice(0, 10), ...text(30, 2)], 100)?.computed, 0);
    const branch = [...first.slice(0, 30), ...text(30, 3)];
    const sequence = kv.open(branch, 100)!;
    assert.equal(sequence.computed, 30);
    // Nobody else can go on in it meanwhile.
    assert.equal(kv.open([...first, 1], 100)?.computed, 0);
  });

  it('lets a sequence take over what another has computed meanwhile, also in the middle of a page', () => {
    const kv = new KvCache(16);
    const system = text(3 * KV_PAGE);
    const one = kv.open([...system, 1], 200)!;
    const two = kv.open([...system, 2], 200)!;
    kv.grow(two, 20);
    kv.advance(two, system, 20);
    kv.grow(one, system.length);
    kv.advance(one, system, 2 * KV_PAGE);
    assert.equal(kv.catchUp(two, [...system, 2]), 2 * KV_PAGE - 20);
    assert.deepEqual(two.pages, one.pages.slice(0, 2));
    assert.equal(kv.catchUp(two, [...system, 2]), 0);
  });

  it('keeps one of two pages that were computed at the same time', () => {
    const kv = new KvCache(4);
    const tokens = text(KV_PAGE + 1);
    const one = kv.open(tokens, tokens.length)!;
    const two = kv.open(tokens, tokens.length)!;
    for (const sequence of [one, two]) kv.grow(sequence, tokens.length);
    for (const sequence of [one, two]) kv.advance(sequence, tokens, tokens.length);
    assert.equal(one.pages[0], two.pages[0]);
    assert.equal(kv.counts.free, 1);
  });

  it('gives up the page that was unused for longest, ends before beginnings', () => {
    const kv = new KvCache(6);
    const [old, recent] = [text(2 * KV_PAGE, 1), text(2 * KV_PAGE, 2)];
    for (const tokens of [old, recent]) kv.close(compute(kv, tokens), tokens);
    const other = text(3 * KV_PAGE, 3);
    const sequence = compute(kv, other);
    assert.deepEqual(kv.counts, { pages: 6, free: 0, cached: 3, sequences: 1 });
    kv.close(sequence, other);
    assert.equal(kv.open([...old, 1], 129)?.computed, KV_PAGE);
  });

  it('promises no page twice', () => {
    const kv = new KvCache(8);
    const one = kv.open(text(10), 4 * KV_PAGE)!;
    const two = kv.open(text(10, 2), 3 * KV_PAGE)!;
    assert.equal(kv.open(text(10, 3), 2 * KV_PAGE), null);
    kv.grow(one, 4 * KV_PAGE);
    kv.grow(two, 3 * KV_PAGE);
    assert.equal(kv.counts.free, 1);
    assert.throws(() => kv.grow(two, 3 * KV_PAGE + 1), /more KV pages/);
    kv.close(two, []);
    assert.ok(kv.open(text(10, 3), 4 * KV_PAGE));
  });

  it('never fails to grow, never loses a page, and finds only what was computed (300 random runs)', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new Random(seed);
      const kv = new KvCache(random.between(4, 20));
      const roots = [text(200, 1), text(200, 2)];
      const open: { sequence: KvSequence; tokens: number[]; most: number }[] = [];
      /** What each slot of each page holds, as a device would. */
      const slots = new Map<number, number>();
      const write = (sequence: KvSequence, tokens: readonly number[], from: number, to: number): void => {
        for (let at = from; at < to; at++) {
          slots.set(sequence.pages[Math.floor(at / KV_PAGE)]! * KV_PAGE + (at % KV_PAGE), tokens[at]!);
        }
      };
      for (let action = 0; action < 60; action++) {
        if (random.chance(0.4)) {
          const shared = random.pick(roots).slice(0, random.between(1, 200));
          const tokens = [...shared, ...text(random.between(1, 80), random.u32())];
          const most = Math.min(kv.pages * KV_PAGE, tokens.length + random.below(100));
          const sequence = tokens.length <= most ? kv.open(tokens, most) : null;
          if (sequence !== null) open.push({ sequence, tokens, most });
        } else if (open.length > 0) {
          const at = random.below(open.length);
          const { sequence, tokens, most } = open[at]!;
          if (random.chance(0.3)) {
            kv.close(sequence, tokens);
            open.splice(at, 1);
            continue;
          }
          if (random.chance(0.3)) kv.catchUp(sequence, tokens);
          const to = Math.min(most, sequence.computed + random.between(1, 70));
          while (tokens.length < to) tokens.push(random.below(1000));
          const from = sequence.computed;
          kv.grow(sequence, to);
          write(sequence, tokens, from, to);
          kv.advance(sequence, tokens, random.chance(0.8) ? to : random.between(from, to));
        }
        for (const { sequence, tokens } of open) {
          for (let at = 0; at < sequence.computed; at++) {
            const slot = sequence.pages[Math.floor(at / KV_PAGE)]! * KV_PAGE + (at % KV_PAGE);
            assert.equal(slots.get(slot), tokens[at], `seed ${seed}, position ${at}`);
          }
        }
      }
      for (const { sequence, tokens, most } of open) {
        kv.grow(sequence, most);
        assert.equal(sequence.pages.length, pagesFor(most));
        kv.close(sequence, tokens);
      }
      const { pages, free, cached, sequences } = kv.counts;
      assert.deepEqual([free + cached, sequences], [pages, 0], `seed ${seed}`);
    }
  });
});
