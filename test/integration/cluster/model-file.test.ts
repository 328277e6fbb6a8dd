import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openGguf } from '../../../coordinator/model/gguf/reader.ts';
import { packageRoot } from '../../../daemon/paths.ts';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

const WHOLE = join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf');

test('M6, M13: a damaged file is refused or computed as it is, and leaves nothing to the whole one', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const path = join(sandbox.folder, 'model.gguf');
  const run = ['run', path, 'Once upon a time', '--raw', '--json', '--max-tokens', '2', '--threads', '1'];
  const gguf = await openGguf(WHOLE);
  const { offset, byteLength } = gguf.tensors.get('blk.1.ffn_up.weight')!;
  await gguf.close();
  const whole = readFileSync(WHOLE);

  const half = Buffer.from(whole).fill(0, Math.floor(whole.length / 2));
  writeFileSync(path, half);
  const refused = await sandbox.run(run, { home });
  assert.equal(refused.code, 2);
  assert.match(
    refused.stderr,
    /model\.gguf was not written whole: from byte \d+ on .* download it again.*\[model_invalid\]/,
  );

  // Where nothing but the weights tells: some in the middle of one tensor are those of another.
  const damaged = Buffer.from(whole);
  whole.copy(damaged, offset + 34 * 600, offset + 34 * 1800, offset + 34 * 2600);
  assert.ok(34 * 2600 < byteLength);
  writeFileSync(path, damaged);
  const wrong = await sandbox.runJson<{ logits_sha256: string }>(run, { home });
  copyFileSync(WHOLE, path);
  const right = await sandbox.runJson<{ logits_sha256: string }>(run, { home });
  const expected = await sandbox.runJson<{ logits_sha256: string }>(run, { home: sandbox.home('fresh') });
  assert.notEqual(wrong.logits_sha256, expected.logits_sha256);
  assert.equal(right.logits_sha256, expected.logits_sha256);
});

test('C9: a model file that is overwritten while it is served is noticed before another token', async (t) => {
  const sandbox = new Sandbox(t);
  const path = join(sandbox.folder, 'model.gguf');
  copyFileSync(WHOLE, path);
  const served = await sandbox.serve(sandbox.home('home'), path, []);
  const ask = (): Promise<{ status: number; text: string }> =>
    rawRequest(`${served.url}/v1/completions`, {
      method: 'POST',
      body: JSON.stringify({ prompt: 'Once upon a time', temperature: 0, max_tokens: 4 }),
    });
  assert.equal((await ask()).status, 200);
  writeFileSync(path, Buffer.from(readFileSync(WHOLE)).reverse(), { flag: 'r+' });
  const { status, text } = await ask();
  assert.equal(status, 500, text);
  const { error } = JSON.parse(text) as { error: { code: string; message: string } };
  assert.equal(error.code, 'model_file_changed');
  assert.match(error.message, /model\.gguf was changed since it was opened.*start again/);
});
