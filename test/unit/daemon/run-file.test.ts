import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readRunFile, removeRunFile, writeRunFile } from '../../../daemon/run-file.ts';

const id = '0123456789abcdef';

test('a daemon that listens is found through its file; one that is gone is not, though its process id lives', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'starling-run-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'run.json');
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;

  await writeRunFile(file, { pid: process.pid, host: '0.0.0.0', port, id });
  assert.deepEqual(await readRunFile(file), { pid: process.pid, host: '127.0.0.1', port, id });

  const told = { threads: 2, memory: 2e9, storeDir: '/srv/tiles' };
  await writeRunFile(file, { pid: process.pid, host: '::', port, id, told: { ...told, backend: undefined } });
  assert.equal(JSON.parse(readFileSync(file, 'utf8')).host, '::1');
  await writeRunFile(file, { pid: process.pid, host: '127.0.0.1', port, id, told });
  assert.deepEqual((await readRunFile(file))?.told, told);

  await new Promise((resolve) => server.close(resolve));
  assert.equal(await readRunFile(file), null);

  writeFileSync(file, '{"pid": 1');
  assert.equal(await readRunFile(file), null);
  await removeRunFile(file);
  assert.equal(await readRunFile(file), null);
});
