import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import OpenAI, { toFile } from 'openai';
import { type Batch, hasEnded } from '../../coordinator/batches/batch.ts';
import type { Execute } from '../../coordinator/batches/batch-run.ts';
import { homePaths } from '../../daemon/paths.ts';
import { chatBatches, chatLine, submit } from '../fixtures/batch-folder.ts';
import { eventually } from '../fixtures/http-endpoint.ts';
import { Sandbox } from '../fixtures/starling-sandbox.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { whenFolder } from '../fixtures/when-folder.ts';

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
    await whenFolder(folder, () => lines().length > enough);
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

test('a batch survives kill -9 of serve: each request has one result, which is what it gets alone', async (t) => {
  const requests = 160;
  const sandbox = new Sandbox(t);
  const home = sandbox.home('own');
  const folder = homePaths({ STARLING_HOME: home }).batchesDir;
  const serve = async () => {
    const { process, url } = await sandbox.serve(home, 'tiny-chat', [], ['--context', '512']);
    return { process, client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }) };
  };
  const beginning = 'Once upon a time there was a little girl who had a red ball and a dog. '.repeat(12);
  const bodyOf = (i: number) => ({
    model: 'starling',
    prompt: `${beginning}One day number ${i}, she`,
    max_tokens: 4,
    temperature: 1,
    seed: i,
    logprobs: 1,
  });
  const endpoint = '/v1/completions' as const;
  const lines = Array.from({ length: requests }, (_, i) =>
    JSON.stringify({ custom_id: `${i}`, method: 'POST', url: endpoint, body: bodyOf(i) }),
  );

  const first = await serve();
  const input = await first.client.files.create({
    file: await toFile(Buffer.from(lines.join('\n'))),
    purpose: 'batch',
  });
  const { id } = await first.client.batches.create({ endpoint, input_file_id: input.id, completion_window: '24h' });
  // Beside the input, only results are lines there.
  const results = (): string =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.jsonl') && !name.startsWith(input.id))
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('');
  await whenFolder(folder, () => results().split('\n').length > requests / 3);
  await first.process.kill();
  const kept = results();
  const whole = kept.slice(0, kept.lastIndexOf('\n') + 1);
  assert.ok(whole.split('\n').length < requests, 'it was killed before the end');

  const second = await serve();
  // Of the folder, not of the endpoint, which says so a moment later.
  const record = (): Batch => JSON.parse(readFileSync(join(folder, `${id}.json`), 'utf8'));
  await whenFolder(folder, () => hasEnded(record()));
  const { status, counts } = record();
  assert.deepEqual([status, counts], ['completed', { total: requests, completed: requests, failed: 0 }]);
  const output = results();
  assert.ok(output.startsWith(whole), 'what was there is there still, and not again');
  const answers = output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { custom_id: string; response: { body: OpenAI.Completion } });
  assert.deepEqual(
    answers.map(({ custom_id }) => Number(custom_id)).sort((a, b) => a - b),
    Array.from({ length: requests }, (_, i) => i),
  );
  for (const { custom_id, response } of answers.filter((_, at) => at % 20 === 0)) {
    const alone = await second.client.completions.create(bodyOf(Number(custom_id)));
    assert.deepEqual(response.body.choices, alone.choices, custom_id);
  }
});
