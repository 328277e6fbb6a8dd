import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DiskBudget } from '../../../../coordinator/batches/disk-budget.ts';
import { ResultsFile } from '../../../../coordinator/batches/results-file.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const line = (custom_id: string): string => JSON.stringify({ custom_id, response: 'é' });

async function idsIn(path: string, budget: DiskBudget): Promise<string[]> {
  const ids: string[] = [];
  await (await ResultsFile.open(path, budget, (id) => ids.push(id))).close();
  return ids;
}

test('results are found again, and go on after the last one', async (t) => {
  const path = join(temporaryFolder(t), 'results.jsonl');
  const budget = new DiskBudget(1e6);
  const first = await ResultsFile.open(path, budget, () => assert.fail('there is none'));
  await Promise.all(['a', 'b', 'c'].map((id) => first.append(line(id))));
  await first.close();
  const second = await ResultsFile.open(path, budget, () => {});
  await second.append(line('d'));
  await second.close();
  assert.deepEqual(await idsIn(path, budget), ['a', 'b', 'c', 'd']);
  assert.equal(readFileSync(path, 'utf8'), ['a', 'b', 'c', 'd'].map((id) => `${line(id)}\n`).join(''));
  assert.equal(budget.used, readFileSync(path).length);
});

test('a torn line is cut off, wherever it was torn, and with it what follows a damaged one', async (t) => {
  const path = join(temporaryFolder(t), 'results.jsonl');
  const whole = `${line('a')}\n${line('b')}\n`;
  const torn = `${line('c')}\n`;
  const tails = [
    ...Array.from({ length: Buffer.byteLength(torn) - 1 }, (_, i) => Buffer.from(torn).subarray(0, i + 1)),
    Buffer.concat([Buffer.alloc(100), Buffer.from(`\n${torn}`)]),
    Buffer.from(`{"no": "id"}\n${torn}`),
    Buffer.from(`{"custom_id": 7}\n`),
  ];
  for (const tail of tails) {
    writeFileSync(path, whole);
    appendFileSync(path, tail);
    const budget = new DiskBudget(1e6);
    budget.found(Buffer.byteLength(whole) + tail.length);
    assert.deepEqual(await idsIn(path, budget), ['a', 'b'], tail.toString());
    assert.equal(readFileSync(path, 'utf8'), whole);
    assert.equal(budget.used, Buffer.byteLength(whole));
  }
});

test('the limit holds, and what does not fit is not written', async (t) => {
  const path = join(temporaryFolder(t), 'results.jsonl');
  const budget = new DiskBudget(2 * (line('a').length + 2));
  const results = await ResultsFile.open(path, budget, () => {});
  await results.append(line('a'));
  await results.append(line('b'));
  await assert.rejects(results.append(line('c')), { code: 'store_limit_exceeded' });
  await results.close();
  assert.deepEqual(await idsIn(path, budget), ['a', 'b']);
});

test('a disk that is full in the middle of a line costs that line, and no room once there is some again', async (t) => {
  const path = join(temporaryFolder(t), 'results.jsonl');
  const budget = new DiskBudget(1e6);
  const results = await ResultsFile.open(path, budget, () => {});
  await results.append(line('a'));
  const probe = await open(path, 'r+');
  const handles = Object.getPrototypeOf(probe) as Pick<typeof probe, 'write'>;
  const { write } = handles;
  await probe.close();
  let writes = 0;
  const full = t.mock.method(
    handles,
    'write',
    function (this: typeof probe, bytes: Buffer, from: number, length: number, at: number) {
      if (writes++ > 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return Reflect.apply(write, this, [bytes, from, Math.floor(length / 2), at]);
    },
  );
  await assert.rejects(results.append(line('b')), { code: 'disk_full' });
  await assert.rejects(results.append(line('c')), { code: 'disk_full' });
  assert.equal(writes, 2);
  full.mock.restore();
  await results.close();
  assert.equal(budget.used, readFileSync(path).length);
  assert.deepEqual(await idsIn(path, budget), ['a']);
  assert.equal(budget.used, readFileSync(path).length);
});
