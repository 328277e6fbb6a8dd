import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { diskFiles } from '../../../../daemon/profile/disk-files.ts';
import { measureDisk } from '../../../../daemon/profile/measure-disk.ts';
import { TileStore } from '../../../../daemon/store/tile-store.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const MIB = 2 ** 20;
const modelId = 'ab'.repeat(16);

/** Puts files of the size of large tiles into a store; nobody reads what they say. */
function storeTiles({ folder }: TileStore, count: number): void {
  mkdirSync(join(folder, modelId));
  for (let i = 0; i < count; i++) {
    const file = join(folder, modelId, `tile-${i}.tile`);
    writeFileSync(file, '');
    truncateSync(file, 16 * MIB);
  }
}

/** A clock by which every look at it takes a quarter of a second: two files are written in time. */
const slowClock = (): (() => number) => {
  let time = 0;
  return () => {
    time += 250;
    return time;
  };
};

/** Names of the models in the folder of a store. */
const models = (folder: string): string[] => readdirSync(folder).filter((name) => /^[0-9a-f]{32}$/.test(name));

test('tiles that are there are measured with, where they are enough', async (t) => {
  const store = new TileStore(temporaryFolder(t));
  storeTiles(store, 4);
  const { files, remove } = await diskFiles(store);
  assert.equal(files.length, 4);
  await remove();
  const { rate, coreMs } = await measureDisk(store);
  assert.ok(coreMs > 0 && coreMs < 1e-3, `${coreMs} ms of a core for a byte`);
  assert.ok(rate > 1e3 && rate < 1e9, `${rate} bytes a millisecond`);
  assert.deepEqual(models(store.folder), [modelId]);
});

test('files are made where there are too few, for a limited time and within the limit, and are removed', async (t) => {
  const folder = temporaryFolder(t);
  const store = new TileStore(folder);
  const made = await diskFiles(store, slowClock());
  assert.equal(made.files.length, 2);
  assert.equal(models(folder).length, 1);
  await made.remove();
  assert.deepEqual(models(folder), []);

  const limited = await diskFiles(new TileStore(folder, { limitBytes: 3 * MIB }));
  assert.deepEqual(
    limited.files.map(({ bytes }) => bytes),
    [2 * MIB],
  );
  await limited.remove();
  assert.deepEqual(models(folder), []);
});

test('what a process left that was killed is removed', async (t) => {
  const folder = temporaryFolder(t);
  const store = new TileStore(folder);
  const left = await diskFiles(store, slowClock());
  // Only the mark of use is gone with the process.
  const [id] = models(folder);
  for (const name of readdirSync(join(folder, id!))) {
    if (name.endsWith('.use')) rmSync(join(folder, id!, name));
  }
  const next = await diskFiles(store, slowClock());
  assert.ok(!models(folder).includes(id!));
  await next.remove();
  await left.remove();
});

test('a store that cannot be written is measured with what tiles it has, or by another file', async (t) => {
  const folder = temporaryFolder(t);
  storeTiles(new TileStore(folder), 1);
  const refuse = async (): Promise<FileHandle> => open(join(folder, 'there', 'is', 'none'), 'wx');
  const full = new TileStore(folder, { create: refuse });
  const { files, remove } = await diskFiles(full);
  assert.deepEqual(
    files.map(({ file }) => file),
    [full.path(modelId, 'tile-0')],
  );
  await remove();
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  const other = await diskFiles(new TileStore(empty, { limitBytes: 0 }));
  assert.ok(other.files.length === 1 && existsSync(other.files[0]!.file));
  assert.ok((await measureDisk(new TileStore(empty, { limitBytes: 0 }))).rate > 0);
  assert.deepEqual(models(empty), []);
});
