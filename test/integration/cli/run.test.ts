import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TokenReport } from '../../../coordinator/cluster/account-report.ts';
import { openGguf } from '../../../coordinator/model/gguf/reader.ts';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { packageRoot } from '../../../daemon/paths.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

const EMBEDDED = join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf');
const SHORT = ['--max-tokens', '8', '--threads', '1'];

test('run asks a model through its chat template, and continues the bare text with --raw', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const run = async (args: readonly string[], stdin?: string): Promise<string> => {
    const input = stdin === undefined ? {} : { stdin };
    const { code, stdout, stderr } = await sandbox.run(['run', ...args, '--threads', '1'], { home, ...input });
    assert.deepEqual([code, stderr], [0, '']);
    return stdout;
  };
  const question = 'What is three plus four?';
  const answer = await run(['tiny-chat', question]);
  assert.match(answer, /^[A-Z][^<\n]*seven[^<\n]*\n$/);
  assert.equal(await run(['tiny-chat', '-'], `${question}\n`), answer);
  // The model's template leaves system messages out.
  assert.equal(await run([EMBEDDED, question, '--system', 'Answer in one word.']), answer);
  assert.match(await run(['tiny-chat', 'Once upon a time', '--raw', '--max-tokens', '8']), /^ there was [^\n]+\n$/);

  const chat = ['run', 'tiny-chat', 'Who are you?', '--json', '--threads', '1'];
  type Told = { text: string; finish_reason: string; prompt_tokens: number; logits_sha256: string };
  const whole = await sandbox.runJson<Told>(chat, { home });
  assert.equal(whole.finish_reason, 'stop');
  assert.match(whole.text, /^I am [^<]+$/);
  const raw = await sandbox.runJson<Told>([...chat, '--raw', '--max-tokens', '1'], { home });
  assert.equal(whole.prompt_tokens, raw.prompt_tokens + 3, 'with <|user|>, <|end|> and <|assistant|> around it');
  const stopped = await sandbox.runJson<Told>([...chat, '--stop', '. '], { home });
  assert.deepEqual([stopped.text, stopped.finish_reason], [whole.text.split('. ')[0], 'stop']);
  const several = await sandbox.runJson<Told>([...chat, '--local-devices', '2', '--draft', 'tiny-chat'], { home });
  assert.deepEqual([several.text, several.logits_sha256], [whole.text, whole.logits_sha256]);

  const long = await sandbox.run(['run', 'tiny-chat', 'dog '.repeat(100), '--context', '32', ...SHORT], { home });
  assert.equal(long.code, 2);
  assert.match(long.stderr, /holds 32.*\[context_length_exceeded\]/);
});

test('run continues the bare text of a model without a chat template, and says so once', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const path = join(sandbox.folder, 'bare.gguf');
  const whole = readFileSync(EMBEDDED);
  // The key by another name: the file has no template then.
  whole.write('x', whole.indexOf('tokenizer.chat_template'));
  writeFileSync(path, whole);
  const run = (...args: string[]) => sandbox.run(['run', path, 'Once', ...args, ...SHORT], { home });
  const bare = await run();
  assert.equal(bare.code, 0, bare.stderr);
  assert.match(bare.stderr, /^[^\n]*no chat template[^\n]*--raw[^\n]*\n$/);
  const { code, stdout, stderr } = await run('--raw');
  assert.deepEqual([code, stdout, stderr], [0, bare.stdout, '']);
  const refused = await run('--system', 'Be brief.');
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /--system: .*no chat template.*\[invalid_argument\]/);
});

test('run prints the answer alone of a model that thinks, and tells of both in JSON', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const path = join(sandbox.folder, 'thinker.gguf');
  const whole = readFileSync(EMBEDDED);
  const gguf = await openGguf(EMBEDDED);
  const template = gguf.metadata.string('tokenizer.chat_template');
  await gguf.close();
  // As long as the template, so that nothing else of the file changes: it opens reasoning, which the model never
  // closes.
  const thinks = `{# </think> #}{{ '<|user|>' + messages[0]['content'] + '<|end|><|assistant|><think>' }}`;
  whole.write(`{#${' '.repeat(template.length - thinks.length - 4)}#}${thinks}`, whole.indexOf(template));
  writeFileSync(path, whole);
  const run = ['run', path, 'Who are you?', ...SHORT];
  const { code, stdout, stderr } = await sandbox.run(run, { home });
  assert.deepEqual([code, stdout, stderr], [0, '\n', '']);
  type Told = { text: string; reasoning_content: string };
  const { text, reasoning_content } = await sandbox.runJson<Told>([...run, '--json'], { home });
  assert.equal(text, '');
  assert.match(reasoning_content, /^\S.*[a-z]/);
});

test('a run accounts for each device, and refuses a memory in which nothing fits', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const run = ['run', 'tiny-chat', 'Once', '--raw', '--json', '--threads', '1', '--max-tokens', '6'];
  run.push('--local-devices', '2');
  const { accounting } = await sandbox.runJson<{ accounting: TokenReport }>(run, { home });
  assert.deepEqual(
    accounting.devices.map(({ name, bytes_read_per_token }) => [name, bytes_read_per_token]),
    [
      ['this device', 0],
      ['local-1', 0],
    ],
  );
  assert.ok(accounting.devices.every(({ compute_ms_per_token }) => compute_ms_per_token > 0));
  assert.match(accounting.binding, /^(compute|network)$/);
  const { code, stderr } = await sandbox.run([...run, '--memory', '20MB'], { home });
  assert.match(stderr, /the least that would do is --memory \d+MB .*\[memory_too_small\]/);
  assert.equal(code, 1);
});

test('Ctrl-C ends a command that waits for its input', async (t) => {
  const sandbox = new Sandbox(t);
  const home = await sandbox.homeWithKey('home', ClusterKey.generate());
  const run = sandbox.start(['run', 'tiny-chat', '-', '--log-level', 'debug'], { home, interactive: true });
  const key = sandbox.start(['key', 'import', '-'], { home, interactive: true });
  // Neither says anything before it has its input, so there is nothing to wait for but time.
  await sleep(2000);
  run.signal('SIGINT');
  key.signal('SIGINT');
  for (const process of [run, key]) {
    const { code, signal } = await process.ended(10_000);
    assert.ok(code === 130 || signal === 'SIGINT', `ended with ${code ?? signal}`);
  }
  assert.deepEqual([run.stderr, key.stderr], ['', '']);
});

test('a reader that closes the pipe ends a command without noise', {
  skip: process.platform === 'win32',
}, async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const run = ['run', 'tiny-chat', 'Once upon a time', '--raw', '--max-tokens', '2000', '--threads', '1'];
  const process = sandbox.start(run, { home });
  await process.printed(/ there was/);
  process.closeStdout();
  const { code } = await process.ended(20_000);
  assert.notEqual(code, 0);
  assert.equal(process.stderr, '');
});
