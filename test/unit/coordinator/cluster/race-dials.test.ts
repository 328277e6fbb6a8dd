import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { raceDials } from '../../../../coordinator/cluster/race-dials.ts';
import { type ErrorCode, StarlingError } from '../../../../daemon/errors.ts';

type Answer = 'silence' | 'late' | 'opens' | ErrorCode;

/** Races addresses that each answer in their way. */
async function race(
  answers: Record<string, Answer>,
  { timeoutMs = 5000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
) {
  const dialled: string[] = [];
  const given: Record<string, AbortSignal> = {};
  const closed: string[] = [];
  const start = performance.now();
  const winner = await raceDials({
    addresses: Object.keys(answers),
    dial: async (address, leftMs, stop) => {
      dialled.push(address);
      given[address] = stop;
      const answer = answers[address] ?? 'silence';
      if (answer === 'opens') return address;
      // one that does not hear that it has lost
      if (answer === 'late') return sleep(600, address);
      if (answer !== 'silence') throw new StarlingError(answer, `${address}: ${answer}`);
      await sleep(leftMs, undefined, { signal: stop }).catch(() => {});
      throw new StarlingError(stop.aborted ? 'cancelled' : 'device_unreachable', `${address} is silent`);
    },
    close: (address) => closed.push(address),
    timeoutMs,
    signal,
  }).catch((error: unknown) => error as StarlingError);
  return { winner, dialled, given, closed, ms: performance.now() - start };
}

test('C15: an address that is silent costs a quarter of a second, and is given up once another answers', async () => {
  const { winner, dialled, given, ms } = await race({ a: 'silence', b: 'device_unreachable', c: 'opens', d: 'opens' });
  assert.equal(winner, 'c');
  assert.deepEqual(dialled, ['a', 'b', 'c']);
  assert.ok(ms >= 200 && ms < 4000, `${ms} ms`);
  assert.ok(given.a!.aborted && !given.c!.aborted, 'the signal of the winner lives on');
});

test('C15: silent addresses take the time of one altogether, and a link that comes too late is closed', async () => {
  const { winner, dialled, ms } = await race({ a: 'silence', b: 'silence', c: 'silence' }, { timeoutMs: 2000 });
  assert.match((winner as StarlingError).message, /a is silent/);
  assert.deepEqual(dialled, ['a', 'b', 'c']);
  assert.ok(ms < 4000, `${ms} ms: one after another they take 6000`);
  const { winner: first, closed } = await race({ a: 'late', b: 'opens' });
  assert.equal(first, 'b');
  while (closed.length === 0) await sleep(20);
  assert.deepEqual(closed, ['a']);
});

test('C15: of many failures the most telling is told, and a signal ends the race', async () => {
  const wrongKey = await race({ a: 'device_unreachable', b: 'key_mismatch', c: 'device_unreachable' });
  assert.equal((wrongKey.winner as StarlingError).code, 'key_mismatch');
  assert.equal(((await race({})).winner as StarlingError).code, 'device_unreachable');
  const ended = await race({ a: 'silence', b: 'silence' }, { signal: AbortSignal.timeout(50) });
  assert.equal((ended.winner as StarlingError).code, 'cancelled');
  assert.ok(ended.ms < 4000, `${ended.ms} ms`);
});
