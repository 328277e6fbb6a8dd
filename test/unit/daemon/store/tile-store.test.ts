import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { TileStore } from '../../../../daemon/store/tile-store.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const MODEL = '00112233445566778899aabbccddeeff';
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

test('a tile is stored, found and read back; the file is the content and its hash', async (t) => {
  const dir = temporaryFolder(t);
  const store = new TileStore(join(dir, 'tiles'));
  const content = randomBytes(100_000);
  assert.equal(await store.has(MODEL, 'attention-0-1', content.length), false);
  await store.write(MODEL, 'attention-0-1', content, sha256(content));
  assert.equal(await store.has(MODEL, 'attention-0-1', content.length), true);
  assert.equal(await store.has(MODEL, 'attention-0-1', content.length - 1), false);
  const into = new Uint8Array(content.length);
  await store.read(MODEL, 'attention-0-1', into);
  assert.equal(content.compare(into), 0);
  const file = readFileSync(store.path(MODEL, 'attention-0-1'));
  assert.equal(file.compare(Buffer.concat([content, sha256(content)])), 0);
  assert.deepEqual(readdirSync(join(dir, 'tiles', MODEL)), ['attention-0-1.tile']);
});

test('content may come from and go to shared memory', async (t) => {
  const store = new TileStore(temporaryFolder(t));
  const content = new Uint8Array(new SharedArrayBuffer(9000), 100, 8000).fill(5);
  await store.write(MODEL, 'a', content, sha256(Buffer.from(content)));
  const into = new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer, 4096, 8000);
  await store.read(MODEL, 'a', into);
  assert.deepEqual(Buffer.from(into), Buffer.from(content));
});

test('a tile that arrived damaged is not stored', async (t) => {
  const dir = temporaryFolder(t);
  const store = new TileStore(dir);
  await assert.rejects(store.write(MODEL, 'a', Uint8Array.of(1), sha256(Uint8Array.of(2))), { code: 'tile_damaged' });
  await assert.rejects(store.write(MODEL, 'a', Uint8Array.of(1), new Uint8Array(0)), { code: 'tile_damaged' });
  assert.deepEqual(readdirSync(dir), []);
});

test('a missing tile says which', async (t) => {
  const store = new TileStore(join(temporaryFolder(t), 'never-made'));
  await assert.rejects(store.read(MODEL, 'head-3', new Uint8Array(1)), { code: 'tile_missing', message: /head-3/ });
  assert.deepEqual(await store.list(), []);
  assert.equal(await store.cleanTemporary(), 0);
});

test('one damaged byte anywhere, a short, a long or an empty file: told, and removed', async (t) => {
  const store = new TileStore(temporaryFolder(t));
  const content = randomBytes(64);
  const into = new Uint8Array(64);
  const damages: ((file: string) => void)[] = [0, 63, 64, 95].map((at) => (file) => {
    const bytes = readFileSync(file);
    bytes[at]! ^= 1;
    writeFileSync(file, bytes);
  });
  damages.push(
    (file) => truncateSync(file, 95),
    (file) => truncateSync(file, 10),
    (file) => truncateSync(file, 0),
    (file) => writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.alloc(1)])),
  );
  for (const damage of damages) {
    await store.write(MODEL, 'a', content, sha256(content));
    const file = store.path(MODEL, 'a');
    damage(file);
    await assert.rejects(store.read(MODEL, 'a', into), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'tile_damaged');
      assert.ok(error.message.includes(file));
      return true;
    });
    assert.equal(existsSync(file), false);
    assert.equal(await store.has(MODEL, 'a', 64), false);
  }
  await store.write(MODEL, 'a', content, sha256(content));
  await store.read(MODEL, 'a', into);
});

test('names that lead elsewhere are refused by every operation', async (t) => {
  const dir = temporaryFolder(t);
  const store = new TileStore(join(dir, 'tiles'));
  const content = Uint8Array.of(1);
  for (const name of ['', '..', '../x', 'a/b', 'a\\b', 'A', 'a.b', 'a\0', '-a', 'a'.repeat(97), '/etc/passwd']) {
    await assert.rejects(store.has(MODEL, name, 1), { code: 'protocol_invalid_message' }, name);
    await assert.rejects(store.write(MODEL, name, content, sha256(content)), { code: 'protocol_invalid_message' });
    await assert.rejects(store.read(MODEL, name, content), { code: 'protocol_invalid_message' });
  }
  for (const modelId of [
    '',
    '..',
    `${MODEL}0`,
    MODEL.toUpperCase(),
    `${MODEL.slice(0, 30)}/.`,
    '../'.padEnd(32, '0'),
  ]) {
    await assert.rejects(store.has(modelId, 'a', 1), { code: 'protocol_invalid_message' }, modelId);
    await assert.rejects(store.removeModel(modelId), { code: 'protocol_invalid_message' });
  }
  assert.deepEqual(readdirSync(dir), []);
});

test('C4: what the dead left is cleaned, what the living have stays; process numbers prove nothing', async (t) => {
  const dir = temporaryFolder(t);
  const store = new TileStore(dir);
  const content = randomBytes(10);
  await store.write(MODEL, 'a', content, sha256(content));
  const folder = join(dir, MODEL);
  assert.deepEqual([readdirSync(dir), readdirSync(folder)], [[MODEL], ['a.tile']]);
  const end = await new TileStore(dir).use(MODEL, 'in use');
  const [mark] = readdirSync(folder).filter((name) => name.endsWith('.use'));
  const owner = mark!.split('.')[0]!;
  const dead = '00000000-00000000';
  const leftover = [`b.tile.${dead}.aabbccdd.tmp`, `c.tile.${dead}.aabbccde.tmp`];
  const living = [`d.tile.${owner}.aabbccdd.tmp`, `model.json.${process.pid}.aabbccdd.tmp`, 'notes.txt'];
  for (const name of [...leftover, ...living, `${dead}.aabbccdd.use`]) writeFileSync(join(folder, name), 'half');
  // As versions before wrote it, and as another container has the number of this process.
  writeFileSync(join(folder, `${process.pid}.aabbccdd.use`), '');
  mkdirSync(join(dir, 'something-else'));
  const used = new Date(1e12);
  utimesSync(folder, used, used);
  assert.equal(await store.cleanTemporary(), 2);
  assert.deepEqual(readdirSync(folder).sort(), ['a.tile', mark!, 'model.json', ...living].sort());
  assert.equal((await store.list())[0]?.lastUsed, 1e12, 'cleaning is no use');
  assert.equal((await store.list())[0]?.inUse, true);
  await end();
  assert.equal((await store.list())[0]?.inUse, false);
  writeFileSync(join(folder, `${process.pid}.aabbccdd.use`), '');
  writeFileSync(join(folder, `${dead}.aabbccdd.use`), '');
  assert.equal((await store.list())[0]?.inUse, false);
  assert.equal(await store.cleanTemporary(), 1, 'of the use that ended');
});

test('C4: a store that cannot be written is used as it is', async (t) => {
  const dir = temporaryFolder(t);
  const content = randomBytes(10);
  await new TileStore(dir).write(MODEL, 'a', content, sha256(content));
  const readOnly = temporaryFolder(t);
  const mounted = spawnSync('mount', ['--bind', '-o', 'ro', dir, readOnly]).status === 0;
  if (!mounted) return t.skip('this user may not mount');
  try {
    const store = new TileStore(readOnly);
    assert.equal(await store.cleanTemporary(), 0);
    await (await store.use(MODEL, 'mine'))();
    await store.read(MODEL, 'a', Buffer.alloc(10));
    await assert.rejects(store.use('f'.repeat(32), 'another'), { code: 'store_failed' });
    const end = await new TileStore(dir).use(MODEL, 'of another');
    assert.equal((await store.list())[0]?.inUse, true, 'by one that can write there');
    await end();
  } finally {
    spawnSync('umount', [readOnly]);
  }
});

test('a full disk is told as such and leaves nothing half-written', async (t) => {
  const dir = temporaryFolder(t);
  const content = randomBytes(1000);
  let writes = 0;
  const store = new TileStore(dir, {
    create: async (file) => {
      const handle = await open(file, 'wx');
      const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>;
      const failing = async (...args: unknown[]): Promise<unknown> => {
        if (++writes === 2)
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        return write(...args);
      };
      return Object.assign(handle, { write: failing }) as FileHandle;
    },
  });
  await assert.rejects(store.write(MODEL, 'a', content, sha256(content)), {
    code: 'disk_full',
    message: /free some space/,
  });
  assert.equal(writes, 2);
  assert.deepEqual(readdirSync(join(dir, MODEL)), []);
  await store.write(MODEL, 'a', content, sha256(content));
  assert.equal(await store.has(MODEL, 'a', 1000), true);
});

test('a store that cannot be written says where', async (t) => {
  const file = join(temporaryFolder(t), 'a-file');
  writeFileSync(file, '');
  const store = new TileStore(file);
  const content = randomBytes(4);
  await assert.rejects(store.write(MODEL, 'a', content, sha256(content)), { code: 'store_failed', message: /a-file/ });
});

test('models are listed with their sizes and removed whole', async (t) => {
  const store = new TileStore(temporaryFolder(t));
  const other = 'ff'.repeat(16);
  for (const [model, name, bytes] of [
    [other, 'a', 10],
    [MODEL, 'a', 20],
    [MODEL, 'b', 30],
  ] as const) {
    const content = randomBytes(bytes);
    await store.write(model, name, content, sha256(content));
  }
  const list = async () => (await store.list()).map(({ lastUsed: _, ...model }) => model);
  const unused = { name: null, inUse: false };
  assert.deepEqual(await list(), [
    { modelId: MODEL, ...unused, tiles: 2, bytes: 114 },
    { modelId: other, ...unused, tiles: 1, bytes: 42 },
  ]);
  await store.removeModel(MODEL);
  await store.removeModel(MODEL);
  assert.deepEqual(await list(), [{ modelId: other, ...unused, tiles: 1, bytes: 42 }]);
});

test('writers of the same tile at once leave one whole tile', async (t) => {
  const dir = temporaryFolder(t);
  const store = new TileStore(dir);
  const content = randomBytes(50_000);
  await Promise.all(Array.from({ length: 6 }, () => store.write(MODEL, 'a', content, sha256(content))));
  await store.read(MODEL, 'a', new Uint8Array(50_000));
  assert.deepEqual(readdirSync(join(dir, MODEL)), ['a.tile']);
});
