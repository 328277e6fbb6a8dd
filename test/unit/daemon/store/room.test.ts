import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { modelsToEvict } from '../../../../daemon/store/eviction.ts';
import { makeRoom } from '../../../../daemon/store/make-room.ts';
import { TileStore } from '../../../../daemon/store/tile-store.ts';
import { verifyModel } from '../../../../daemon/store/verify-model.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(32)) as [string, string, string];
const TILE = 968;
/** With its hash. */
const FILE = 1000;

async function fill(store: TileStore, modelId: string, tiles: number, usedAt: number): Promise<void> {
  for (let i = 0; i < tiles; i++) {
    const content = new Uint8Array(TILE).fill(i);
    await store.write(modelId, `tile-${i}`, content, createHash('sha256').update(content).digest());
  }
  utimesSync(join(store.folder, modelId), usedAt, usedAt);
}

const ids = (models: readonly { modelId: string }[]): string[] => models.map(({ modelId }) => modelId);

test('the models used least recently go first, and no more than needed', () => {
  const model = (modelId: string, bytes: number, lastUsed: number, inUse = false) => ({
    modelId,
    bytes,
    lastUsed,
    inUse,
  });
  const models = [model('new', 10, 3), model('old', 10, 1), model('used', 100, 0, true), model('middle', 10, 2)];
  assert.deepEqual(modelsToEvict(models, 'x', 0), []);
  assert.deepEqual(modelsToEvict(models, 'x', 1), ['old']);
  assert.deepEqual(modelsToEvict(models, 'x', 11), ['old', 'middle']);
  assert.deepEqual(modelsToEvict(models, 'old', 11), ['middle', 'new']);
  assert.deepEqual(modelsToEvict(models, 'x', 30), ['old', 'middle', 'new']);
  assert.equal(modelsToEvict(models, 'x', 31), null, 'one that is in use stays');
});

test('room is made within the limit, and nothing is removed where it would not do', async (t) => {
  const store = new TileStore(temporaryFolder(t), { limitBytes: 6 * FILE });
  await fill(store, A, 2, 1000);
  await fill(store, B, 3, 2000);
  assert.deepEqual(await makeRoom(store, C, []), []);
  assert.deepEqual(await makeRoom(store, C, [TILE]), [], 'the sixth fits');
  assert.deepEqual(ids(await makeRoom(store, C, [TILE, TILE])), [A]);
  assert.deepEqual(ids(await store.list()), [B]);
  await assert.rejects(makeRoom(store, B, Array(4).fill(TILE)), { code: 'store_limit_exceeded' });
  assert.deepEqual(ids(await store.list()), [B]);
});

test('a model in use is not removed; one whose process is gone is', async (t) => {
  const store = new TileStore(temporaryFolder(t), { limitBytes: 3 * FILE });
  await fill(store, A, 2, 1000);
  const end = await store.use(A, 'model a');
  assert.deepEqual(
    (await store.list()).map(({ name, inUse }) => [name, inUse]),
    [['model a', true]],
  );
  await assert.rejects(makeRoom(store, B, [TILE, TILE]), { code: 'store_limit_exceeded' });
  await end();
  const { pid } = spawnSync(process.execPath, ['--version']);
  const mark = join(store.folder, A, `${pid}.00112233.use`);
  writeFileSync(mark, '');
  assert.equal((await store.list())[0]?.inUse, false);
  await store.cleanTemporary();
  assert.ok(!existsSync(mark));
  assert.deepEqual(ids(await makeRoom(store, B, [TILE, TILE])), [A]);
});

test('using a model makes it the one used last', async (t) => {
  const store = new TileStore(temporaryFolder(t), { limitBytes: 4 * FILE });
  await fill(store, A, 2, 1000);
  await fill(store, B, 2, 2000);
  await (await store.use(A, 'a'))();
  assert.deepEqual(ids(await makeRoom(store, C, [TILE])), [B]);
});

test('a disk without room is told before anything is written', async (t) => {
  class SmallDisk extends TileStore {
    override async freeBytes(): Promise<number> {
      return 64 * 2 ** 20 + 3 * FILE;
    }
  }
  const store = new SmallDisk(temporaryFolder(t));
  await fill(store, A, 2, 1000);
  assert.deepEqual(await makeRoom(store, B, Array(3).fill(TILE)), []);
  assert.deepEqual(ids(await makeRoom(store, B, Array(5).fill(TILE))), [A]);
  await assert.rejects(makeRoom(store, B, Array(4).fill(TILE)), { code: 'disk_full' });
});

test('verifying finds and removes what is damaged, and nothing else', async (t) => {
  const store = new TileStore(temporaryFolder(t));
  await fill(store, A, 5, 1000);
  const damage = (i: number, change: (bytes: Buffer) => Buffer): void => {
    const file = store.path(A, `tile-${i}`);
    writeFileSync(file, change(readFileSync(file)));
  };
  damage(1, (bytes) => Buffer.from(bytes.fill(9, 5, 6)));
  damage(2, (bytes) => bytes.subarray(0, 10));
  damage(3, () => Buffer.alloc(0));
  const seen: [string, boolean][] = [];
  await verifyModel(store, A, (name, intact) => void seen.push([name, intact]));
  const expected = [0, 1, 2, 3, 4].map((i) => [`tile-${i}`, i === 0 || i === 4]);
  assert.deepEqual(seen.sort(), expected);
  assert.deepEqual(
    readdirSync(join(store.folder, A)).sort(),
    [0, 4].map((i) => `tile-${i}.tile`),
  );
});
