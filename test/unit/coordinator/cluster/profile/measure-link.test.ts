import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Echo, measureLink } from '../../../../../coordinator/cluster/profile/measure-link.ts';

/** A link by a clock of its own. */
function simulated(ms: (bytes: number, answer: number, count: number) => number) {
  let [clock, count, longest] = [0, 0, 0];
  const link: Echo = {
    echo: async (bytes, answer) => {
      clock += ms(bytes, answer, count++);
      longest = Math.max(longest, bytes, answer);
    },
  };
  return { link, now: () => clock, longest: () => longest };
}

const near = (actual: number, expected: number, share: number): void =>
  assert.ok(Math.abs(actual - expected) <= share * expected, `${actual}, expected ${expected}`);

test('round trips are the middle one, and how much longer a tenth is', async () => {
  // Every fifth takes 2 ms longer; the first ones are slow.
  const { link, now } = simulated((bytes, answer, count) => {
    const first = count < 5 ? 20 : 0;
    return 1 + (bytes + answer) / 1e5 + (count % 5 === 0 ? 2 : 0) + first;
  });
  const { roundTripMs, jitterMs } = await measureLink(link, now);
  near(roundTripMs, 1.16384, 1e-6);
  near(jitterMs, 2, 1e-6);
});

test('the slower direction counts, measured with messages as large as fit in the time', async () => {
  for (const [up, down] of [
    [1.2e5, 6e4],
    [3e4, 1.2e5],
    [1e6, 1.1e6],
  ] as const) {
    const { link, now, longest } = simulated((bytes, answer) => 0.2 + bytes / up + answer / down);
    near((await measureLink(link, now)).bytesPerMs, Math.min(up, down), 0.05);
    assert.equal(longest(), 2 ** 20);
    assert.ok(now() < 600, `${now()} ms`);
  }
});

test('a slow link is measured with few and small messages', async () => {
  // Wi-Fi at its end: 1 MB/s, 30 ms there and back.
  const { link, now, longest } = simulated((bytes, answer) => 30 + (bytes + answer) / 1000);
  const { roundTripMs, bytesPerMs } = await measureLink(link, now);
  near(roundTripMs, 46.4, 0.01);
  near(bytesPerMs, 1000, 0.01);
  assert.ok(longest() <= 2 ** 16 && now() < 900, `${longest()} bytes, ${now()} ms`);
});

test('a link on which everything takes forever ends, and one that ends is told', async () => {
  const { link, now } = simulated(() => 1000);
  assert.ok((await measureLink(link, now)).roundTripMs === 1000 && now() < 20_000);
  const broken: Echo = { echo: () => Promise.reject(new Error('gone')) };
  await assert.rejects(measureLink(broken), /gone/);
});

test('a link faster than the clock gives finite rates', async () => {
  let ticks = 0;
  const link: Echo = { echo: async () => {} };
  // Time passes only now and then.
  const { roundTripMs, jitterMs, bytesPerMs } = await measureLink(link, () => Math.floor(ticks++ / 50));
  assert.ok([roundTripMs, jitterMs, bytesPerMs].every(Number.isFinite) && bytesPerMs > 0);
});
