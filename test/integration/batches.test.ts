import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hasEnded } from '../../coordinator/batches/batch.ts';
import type { Execute } from '../../coordinator/batches/batch-run.ts';
import { chatBatches, chatLine, submit } from '../fixtures/batch-folder.ts';
import { eventually } from '../fixtures/http-endpoint.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const WORKER = fileURLToPath(new URL('../fixtures/batch-worker.js', import.meta.url));
const REQUESTS = 1000;

test('a batch survives kill -9 again and again: every request has one result, and no whole one is computed twice', async (t) => {
  const folder = join(temporaryFolder(t), 'batches');
  const never: Execute = (_, signal) =>
    new Promise((resolve) =>
      signal.addEventListener('abort', () => resolve({ statusCode: 499, requestId: '', body: {} }), { once: true }),
    );
  const first = chatBatches({ folder, execute: never });
  await first.start();
  const beginning = 'b'.repeat(800);
  const { id, resultFiles } = await submit(
    first,
    Array.from({ length: REQUESTS }, (_, i) => chatLine(`id-${i}`, `${beginning} ${i}`)),
  );
  await eventually(() => first.get(id, null).status === 'in_progress', 'the input is checked');
  await first.stop();

  const output = join(folder, `${resultFiles.output}.jsonl`);
  const lines = (): string[] => (existsSync(output) ? readFileSync(output, 'utf8').split('\n') : ['']);
  for (const enough of [150, 500]) {
    const worker = spawn(process.execPath, [WORKER, folder], { stdio: ['ignore', 'inherit', 'inherit'] });
    const exit = once(worker, 'exit');
    t.after(() => worker.kill('SIGKILL'));
    await eventually(() => lines().length > enough, `${enough} results`);
    worker.kill('SIGKILL');
    await exit;
    // What a power cut may leave, which a killed process leaves only by rare chance.
    appendFileSync(output, lines()[0]!.slice(0, enough));
  }
  const whole = lines().length - 1;
  assert.ok(whole > 500 && whole < REQUESTS, `${whole} results`);

  let computed = 0;
  const last = chatBatches({
    folder,
    execute: async ({ body }) => {
      computed++;
      return { statusCode: 200, requestId: 'req_1', body: { echo: body.messages } };
    },
  });
  await last.start();
  await eventually(() => hasEnded(last.get(id, null)), 'the batch ends');
  const { status, counts, outputFileId, errorFileId } = last.get(id, null);
  assert.deepEqual([status, errorFileId], ['completed', null]);
  assert.deepEqual(counts, { total: REQUESTS, completed: REQUESTS, failed: 0 });
  assert.equal(computed, REQUESTS - whole);
  const results = new Map(
    readFileSync(last.contentPath(outputFileId!, null), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .map(({ custom_id, response }) => [custom_id, response.body.echo[0].content]),
  );
  await last.stop();
  assert.equal(results.size, REQUESTS);
  for (let i = 0; i < REQUESTS; i++) assert.equal(results.get(`id-${i}`), `${beginning} ${i}`);
});
