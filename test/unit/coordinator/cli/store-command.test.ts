import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { storeCommand } from '../../../../coordinator/cli/store-command.ts';
import { TileStore } from '../../../../daemon/store/tile-store.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const [A, B] = ['a1', 'a2'].map((start) => start.padEnd(32, '0')) as [string, string];

async function rig(t: TestContext) {
  const storeDir = temporaryFolder(t);
  const store = new TileStore(storeDir);
  for (const [modelId, name] of [
    [A, 'first\u001b[31m'],
    [B, 'second'],
  ] as const) {
    await (await store.use(modelId, name))();
    const content = Buffer.alloc(100, name);
    await store.write(modelId, 'tile', content, createHash('sha256').update(content).digest());
  }
  const run = async (...args: string[]): Promise<{ stdout: string; stderr: string }> => {
    const out = { stdout: '', stderr: '' };
    const command = storeCommand({
      storeDir,
      stdout: (text) => {
        out.stdout += text;
      },
      stderr: (text) => {
        out.stderr += text;
      },
    });
    await command.parseAsync(args, { from: 'user' });
    return out;
  };
  return { store, run };
}

test('ls shows models by name, and nothing in a name reaches the terminal', async (t) => {
  const { run } = await rig(t);
  const { stdout } = await run('ls');
  assert.match(stdout, /a1000.* 1 tiles.* first\?\[31m\n.*second\n/);
  const listed = JSON.parse((await run('ls', '--json')).stdout) as Record<string, unknown>[];
  assert.deepEqual(
    listed.map(({ id, tiles, bytes, in_use }) => ({ id, tiles, bytes, in_use })),
    [A, B].map((id) => ({ id, tiles: 1, bytes: 132, in_use: false })),
  );
});

test('verify tells what was damaged, removes it, and is content the next time', async (t) => {
  const { store, run } = await rig(t);
  assert.match((await run('verify')).stdout, /first.*: 1 tiles are intact\nsecond: 1 tiles are intact\n/);
  writeFileSync(store.path(B, 'tile'), 'no tile');
  await run('verify', 'a1');
  await assert.rejects(run('verify', 'second'), { code: 'tile_damaged', message: /^1 tiles/ });
  assert.match((await run('verify', 'second')).stdout, /: 0 tiles/);
});

test('rm removes what is named, by name or by the beginning of an id, and only if one is meant', async (t) => {
  const { store, run } = await rig(t);
  await assert.rejects(run('rm'), { code: 'invalid_argument' });
  await assert.rejects(run('rm', 'second', '--all'), { code: 'invalid_argument' });
  await assert.rejects(run('rm', 'third'), { code: 'model_not_stored' });
  await assert.rejects(run('rm', ''), { code: 'model_not_stored' });
  await assert.rejects(run('rm', 'a'), { code: 'invalid_argument' });
  await run('rm', 'a1');
  assert.deepEqual(
    (await store.list()).map(({ modelId }) => modelId),
    [B],
  );
  await run('rm', 'second');
  assert.deepEqual(await store.list(), []);
});

test('rm leaves a model that is in use, and with it all', async (t) => {
  const { store, run } = await rig(t);
  const end = await store.use(B, 'second');
  await assert.rejects(run('rm', 'second'), { code: 'model_in_use' });
  await assert.rejects(run('rm', '--all'), { code: 'model_in_use' });
  assert.equal((await store.list()).length, 2);
  await end();
  await run('rm', '--all');
  assert.deepEqual(await store.list(), []);
});
