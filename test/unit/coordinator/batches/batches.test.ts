import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Batch, hasEnded } from '../../../../coordinator/batches/batch.ts';
import type { BatchRequest, BatchResponse, Execute } from '../../../../coordinator/batches/batch-run.ts';
import type { Batches, BatchesOptions } from '../../../../coordinator/batches/batches.ts';
import { batchBody, fileBody } from '../../../../coordinator/batches/bodies.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { CHAT, chatBatches, chatLine, submit } from '../../../fixtures/batch-folder.ts';
import { eventually } from '../../../fixtures/http-endpoint.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const answer = (statusCode = 200, body: unknown = { ok: true }): BatchResponse => ({
  statusCode,
  requestId: 'req_1',
  body,
});
const contentOf = ({ body }: BatchRequest): string => (body.messages as { content: string }[])[0]!.content;
/** Never answers: until nobody wants it any more. */
const untilAborted: Execute = (_, signal) =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(answer(499)), { once: true }));

const running = new WeakMap<TestContext, Batches[]>();

/** A folder that is removed when all that work on it have stopped. */
function batchFolder(t: TestContext): string {
  const all: Batches[] = [];
  running.set(t, all);
  t.after(() => Promise.all(all.map((batches) => batches.stop())));
  return join(temporaryFolder(t), 'batches');
}

async function started(t: TestContext, options: Parameters<typeof chatBatches>[0]): Promise<Batches> {
  const batches = chatBatches(options);
  running.get(t)!.push(batches);
  await batches.start();
  return batches;
}

const open = (t: TestContext, execute: Execute, more: Partial<BatchesOptions> = {}): Promise<Batches> =>
  started(t, { folder: batchFolder(t), execute, ...more });

async function finished(batches: Batches, { id, owner }: Batch): Promise<Batch> {
  await eventually(() => hasEnded(batches.get(id, owner)), 'the batch ends');
  return batches.get(id, owner);
}

interface ResultLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: { readonly status_code: number; readonly request_id: string; readonly body: unknown } | null;
  readonly error: { readonly code: string } | null;
}

const results = (batches: Batches, id: string | null, owner: string | null = null): ResultLine[] =>
  id === null
    ? []
    : readFileSync(batches.contentPath(id, owner), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as ResultLine);

test("a batch is computed as batch work, and its results are OpenAI's", async (t) => {
  const seen: BatchRequest[] = [];
  const batches = await open(t, async (request) => {
    seen.push(request);
    return contentOf(request) === 'bad' ? answer(400, { error: { code: 'invalid_request' } }) : answer();
  });
  const made = await submit(batches, [chatLine('one', 'good'), chatLine('two', 'bad')], 'anna');
  assert.deepEqual([made.status, made.outputFileId], ['validating', null]);
  const done = await finished(batches, made);
  assert.equal(done.status, 'completed');
  assert.deepEqual(done.counts, { total: 2, completed: 1, failed: 1 });
  for (const { owner, url, body } of seen) assert.deepEqual([owner, url, body.priority], ['anna', CHAT, 'batch']);
  const [output] = results(batches, done.outputFileId, 'anna');
  const { id, ...rest } = output!;
  assert.match(id, /^batch_req_/);
  assert.deepEqual(rest, {
    custom_id: 'one',
    response: { status_code: 200, request_id: 'req_1', body: { ok: true } },
    error: null,
  });
  const [failure] = results(batches, done.errorFileId, 'anna');
  assert.deepEqual([failure!.custom_id, failure!.response?.status_code], ['two', 400]);
  const body = batchBody(done);
  assert.deepEqual([body.object, body.errors, body.request_counts], ['batch', undefined, done.counts]);
  const file = fileBody(batches.file(done.outputFileId!, 'anna'));
  assert.deepEqual([file.object, file.purpose, file.filename], ['file', 'batch_output', `${done.id}_output.jsonl`]);
  assert.equal(file.bytes, statSync(batches.contentPath(file.id, 'anna')).size);
});

test('requests with a common beginning go together, and no more are under way than is useful', async (t) => {
  const order: string[] = [];
  let underWay = 0;
  let most = 0;
  const batches = await open(
    t,
    async (request) => {
      order.push(contentOf(request)[0]!);
      most = Math.max(most, ++underWay);
      if (order.length <= 3) await eventually(() => most >= 3, 'three are under way');
      else await new Promise(setImmediate);
      underWay--;
      return answer();
    },
    { parallel: () => 3 },
  );
  const lines = Array.from({ length: 20 }, (_, i) => chatLine(`${i}`, 'ab'[i % 2]!.repeat(300) + i));
  assert.equal((await finished(batches, await submit(batches, lines))).counts.completed, 20);
  assert.equal(most, 3);
  // Where one beginning follows the other, they may be read in either order.
  assert.match(order.join(''), /^(a{8}[ab]{4}b{8}|b{8}[ab]{4}a{8})$/);
});

test('a wrong input file fails with the lines at fault', async (t) => {
  const batches = await open(t, async () => assert.fail('nothing is computed'));
  const done = await finished(batches, await submit(batches, [chatLine('a', 'x'), '{', chatLine('a', 'y')]));
  assert.equal(done.status, 'failed');
  const { errors } = batchBody(done);
  assert.deepEqual(
    errors?.data.map(({ code, line }) => [code, line]),
    [
      ['invalid_json_line', 2],
      ['duplicate_custom_id', 3],
    ],
  );
});

test('a full queue is waited for, a failure of the server tried three times, one of the request once', async (t) => {
  const tries = new Map<string, number>();
  const statuses: Record<string, (n: number) => number> = {
    queue: (n) => (n < 6 ? 429 : 200),
    away: (n) => (n < 6 ? 503 : 200),
    server: () => 500,
    request: () => 400,
    late: () => 504,
  };
  const batches = await open(t, async (request) => {
    const name = contentOf(request);
    const n = (tries.get(name) ?? 0) + 1;
    tries.set(name, n);
    if (name === 'thrown') throw new StarlingError('device_error', 'it broke');
    return answer(statuses[name]!(n));
  });
  const lines = [...Object.keys(statuses), 'thrown'].map((name) => chatLine(name, name));
  const done = await finished(batches, await submit(batches, lines));
  assert.deepEqual(Object.fromEntries(tries), { queue: 6, away: 6, server: 3, request: 1, late: 1, thrown: 3 });
  assert.deepEqual(done.counts, { total: 6, completed: 2, failed: 4 });
  const thrown = results(batches, done.errorFileId).find(({ custom_id }) => custom_id === 'thrown');
  assert.deepEqual([thrown?.response, thrown?.error?.code], [null, 'device_error']);
});

test('a cancelled batch keeps what it has', async (t) => {
  const batches = await open(t, async (request, signal) =>
    contentOf(request) === 'now' ? answer() : untilAborted(request, signal),
  );
  const made = await submit(batches, [chatLine('a', 'now'), chatLine('b', 'never'), chatLine('c', 'never')]);
  await eventually(() => batches.get(made.id, null).counts.completed === 1, 'one is done');
  await assert.rejects(batches.removeFile(made.inputFileId, null), { code: 'invalid_request' });
  assert.equal((await batches.cancel(made.id, null)).status, 'cancelling');
  const done = await finished(batches, made);
  assert.deepEqual([done.status, done.counts], ['cancelled', { total: 3, completed: 1, failed: 0 }]);
  assert.deepEqual(
    results(batches, done.outputFileId).map(({ custom_id }) => custom_id),
    ['a'],
  );
  assert.equal(done.errorFileId, null);
  await assert.rejects(batches.cancel(made.id, null), { code: 'invalid_request', message: /cancelled already/ });
  await batches.removeFile(made.inputFileId, null);
  await batches.removeFile(done.outputFileId!, null);
  assert.deepEqual(batches.listFiles(null), []);
});

test('what is not done when the time is over is told as expired', async (t) => {
  let late = 0;
  const execute: Execute = async (request, signal) =>
    contentOf(request) === 'now' ? answer() : untilAborted(request, signal);
  const batches = await open(t, execute, { now: () => Date.now() + late });
  const lines = [chatLine('a', 'now'), chatLine('b', 'never'), chatLine('c', 'never'), chatLine('d', 'never')];
  const made = await submit(batches, lines);
  const other = await submit(batches, lines);
  await eventually(() => batches.get(made.id, null).counts.completed === 1, 'one is done');
  // One that waits its turn, and is due at the same time, is brought to its end too.
  await eventually(() => batches.get(other.id, null).status === 'in_progress', 'the other is checked');
  late = 24 * 3_600_000;
  await submit(batches, [chatLine('x', 'never')]);
  const done = await finished(batches, made);
  assert.deepEqual([done.status, done.counts], ['expired', { total: 4, completed: 1, failed: 3 }]);
  for (const { response, error } of results(batches, done.errorFileId)) {
    assert.deepEqual([response, error?.code], [null, 'batch_expired']);
  }
  assert.equal(results(batches, (await finished(batches, other)).errorFileId).length, 4);
});

test('the time runs out by itself', async (t) => {
  const start = Date.now();
  let base = start;
  const batches = await open(t, untilAborted, { now: () => base + (Date.now() - start) });
  const folderOf = await submit(batches, [chatLine('a', 'never')]);
  await eventually(() => batches.get(folderOf.id, null).status === 'in_progress', 'it runs');
  // The clock stands shortly before the end when the next wake sets the timer.
  base += 24 * 3_600_000 - 1000;
  await submit(batches, ['{']);
  assert.equal((await finished(batches, folderOf)).status, 'expired');
});

test('a batch that was stopped goes on, and computes nothing twice', async (t) => {
  const folder = batchFolder(t);
  const first = await started(t, {
    folder,
    execute: async (request, signal) => (Number(contentOf(request)) < 5 ? answer() : untilAborted(request, signal)),
  });
  const made = await submit(
    first,
    Array.from({ length: 12 }, (_, i) => chatLine(`id-${i}`, `${i}`)),
  );
  await eventually(() => first.get(made.id, null).counts.completed === 5, 'five are done');
  await first.stop();
  const again: string[] = [];
  const second = await started(t, {
    folder,
    execute: async (request) => {
      again.push(contentOf(request));
      return answer();
    },
  });
  const done = await finished(second, made);
  assert.deepEqual([done.status, done.counts.completed], ['completed', 12]);
  assert.deepEqual(
    again.map(Number).sort((a, b) => a - b),
    [5, 6, 7, 8, 9, 10, 11],
  );
  assert.equal(new Set(results(second, done.outputFileId).map(({ custom_id }) => custom_id)).size, 12);
  await second.stop();
  const third = await started(t, { folder, execute: async () => assert.fail('all is done') });
  assert.deepEqual(third.get(made.id, null), done);
  assert.deepEqual(
    third.listFiles(null).map(({ purpose }) => purpose),
    ['batch_output', 'batch'],
  );
});

test('keys see their own files and batches alone, and do not wait for each other', async (t) => {
  const batches = await open(t, async (request, signal) =>
    request.owner === 'anna' ? untilAborted(request, signal) : answer(),
  );
  const anna = await submit(batches, [chatLine('a', 'x')], 'anna');
  const ben = await submit(batches, [chatLine('a', 'x')], 'ben');
  assert.equal((await finished(batches, ben)).status, 'completed');
  assert.deepEqual(
    batches.list('anna').map(({ id }) => id),
    [anna.id],
  );
  assert.deepEqual(batches.list(null), []);
  for (const owner of ['ben', null]) {
    assert.throws(() => batches.get(anna.id, owner), { code: 'batch_not_found' });
    assert.throws(() => batches.contentPath(anna.inputFileId, owner), { code: 'file_not_found' });
    await assert.rejects(batches.cancel(anna.id, owner), { code: 'batch_not_found' });
    await assert.rejects(batches.removeFile(anna.inputFileId, owner), { code: 'file_not_found' });
    const wish = { owner, endpoint: CHAT, inputFileId: anna.inputFileId, completionWindow: '24h', metadata: null };
    await assert.rejects(batches.create(wish), { code: 'file_not_found' });
  }
});

test('what a client asks wrongly is refused, with the field', async (t) => {
  const batches = await open(t, async () => answer());
  const done = await finished(batches, await submit(batches, [chatLine('a', 'x')]));
  const wish = {
    owner: null,
    endpoint: CHAT,
    inputFileId: done.inputFileId,
    completionWindow: '24h',
    metadata: null,
  };
  const wrong: [object, string][] = [
    [{ endpoint: '/v1/images' }, 'endpoint'],
    [{ completionWindow: '24' }, 'completion_window'],
    [{ inputFileId: done.outputFileId }, 'input_file_id'],
    [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`${i}`, ''])) }, 'metadata'],
    [{ metadata: { a: 'x'.repeat(513) } }, 'metadata'],
  ];
  for (const [change, param] of wrong) {
    await assert.rejects(batches.create({ ...wish, ...change }), { code: 'invalid_request', param });
  }
  for (const id of ['', '../../etc/passwd', 'file-', `${done.inputFileId}/..`, '__proto__']) {
    await assert.rejects(batches.create({ ...wish, inputFileId: id }), { code: 'file_not_found' });
    assert.throws(() => batches.contentPath(id, null), { code: 'file_not_found' });
    assert.throws(() => batches.get(id, null), { code: 'batch_not_found' });
  }
});

test('uploads are bounded, and nothing is left of those that fail', async (t) => {
  const folder = batchFolder(t);
  const limits = { total: 250, upload: 100, files: 3 };
  const batches = await started(t, { folder, execute: async () => answer(), limits });
  const upload = (sizes: readonly number[], thrown?: Error) =>
    batches.upload({
      owner: null,
      filename: 'a\n\u001b[2Jb'.padEnd(300, 'x'),
      content: (async function* () {
        for (const size of sizes) yield Buffer.alloc(size, 'x');
        if (thrown !== undefined) throw thrown;
      })(),
    });
  const first = await upload([60, 40]);
  assert.equal(first.filename.length, 255);
  assert.match(first.filename, /^a\[2Jbx+$/);
  await assert.rejects(upload([60, 41]), { code: 'request_too_large' });
  await assert.rejects(upload([60], new Error('the client left')), { message: 'the client left' });
  await upload([100]);
  await assert.rejects(upload([51]), { code: 'store_limit_exceeded' });
  await upload([50]);
  await assert.rejects(upload([0]), { code: 'store_limit_exceeded', message: /3 files already/ });
  assert.equal(readdirSync(folder).filter((name) => name.endsWith('.jsonl')).length, 3);
  if (process.platform !== 'win32') assert.equal(statSync(batches.contentPath(first.id, null)).mode & 0o777, 0o600);
  await batches.removeFile(first.id, null);
  await upload([100]);
});

test('a full disk pauses a batch, and loses nothing', async (t) => {
  let calls = 0;
  const lines = [chatLine('a', 'x'), chatLine('b', 'x')];
  const limits = { total: lines.join('\n').length + 200, upload: 1000, files: 10 };
  const batches = await open(
    t,
    async () => {
      calls++;
      return answer();
    },
    { limits, parallel: () => 1 },
  );
  const made = await submit(batches, lines);
  await eventually(() => calls === 2, 'both were computed');
  await new Promise((resolve) => setTimeout(resolve, 20));
  const { status, counts } = batches.get(made.id, null);
  assert.deepEqual([status, counts.completed], ['in_progress', 1]);
  await batches.cancel(made.id, null);
});

test('one process at a time has the folder; damaged records count as none, what has none is removed', async (t) => {
  const folder = batchFolder(t);
  const first = await started(t, { folder, execute: async () => answer() });
  await assert.rejects(chatBatches({ folder, execute: async () => answer() }).start(), { code: 'already_running' });
  const done = await finished(first, await submit(first, [chatLine('a', 'x')]));
  const output = first.contentPath(done.outputFileId!, null);
  await first.stop();
  const orphan = join(folder, `file-${'0'.repeat(24)}.jsonl`);
  writeFileSync(orphan, 'x');
  writeFileSync(join(folder, `batch_${'0'.repeat(24)}.json`), '{"version": 1}');
  writeFileSync(join(folder, `batch_${'1'.repeat(24)}.json`), JSON.stringify(done));
  writeFileSync(join(folder, `${done.outputFileId}.json`), '[');
  const second = await started(t, { folder, execute: async () => answer() });
  assert.deepEqual(second.list(null), [done]);
  assert.equal(existsSync(orphan), false);
  assert.deepEqual(
    second.listFiles(null).map(({ id }) => id),
    [done.inputFileId],
  );
  assert.equal(existsSync(output), false);
});
