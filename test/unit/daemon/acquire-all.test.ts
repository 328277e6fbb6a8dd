import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acquireAll } from '../../../daemon/acquire-all.ts';

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

test('C1: all, or none: what came before and after the failure is released', async () => {
  const released: string[] = [];
  const release = (name: string): void => void released.push(name);
  assert.deepEqual(await acquireAll([async () => 'a', async () => 'b'], release), ['a', 'b']);
  assert.deepEqual(released, []);
  const late = async (signal: AbortSignal): Promise<string> => {
    await untilAborted(signal).catch(() => {});
    return 'late';
  };
  const failing = async (): Promise<string> => {
    throw new Error('no');
  };
  await assert.rejects(acquireAll([async () => 'first', late, failing, untilAborted], release), /no/);
  assert.deepEqual(released, ['first', 'late']);
});

test('C1: a signal ends what is under way', async () => {
  const released: string[] = [];
  const stop = new AbortController();
  const all = acquireAll<string>([async () => 'a', untilAborted], (name) => void released.push(name), stop.signal);
  setImmediate(() => stop.abort(new Error('told to')));
  await assert.rejects(all, /told to/);
  assert.deepEqual(released, ['a']);
  const throwing = (): Promise<string> => {
    throw new Error('at once');
  };
  await assert.rejects(
    acquireAll<string>([throwing, untilAborted], () => {}),
    /at once/,
  );
});
