import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deviceName, loadIdentity } from '../../../daemon/identity.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

test('the id is made once and stays', async (t) => {
  const file = join(temporaryFolder(t), 'home', 'identity.json');
  const first = await loadIdentity(file, 'kitchen.local');
  assert.match(first.id, /^[0-9a-f]{16}$/);
  assert.equal(first.name, 'kitchen');
  assert.equal(first.warning, undefined);
  assert.deepEqual(await loadIdentity(file, 'renamed'), { id: first.id, name: 'renamed' });
});

test('two processes that start at once agree on the id', async (t) => {
  const file = join(temporaryFolder(t), 'identity.json');
  const all = await Promise.all([1, 2, 3, 4].map(() => loadIdentity(file, 'x')));
  assert.equal(new Set(all.map(({ id }) => id)).size, 1);
});

test('a damaged file is set aside and told', async (t) => {
  for (const damage of ['', '{"version":1,"id":"short"}', '{"version":1,"id":"0123456789abcdef","more":1}', '\0\0\0']) {
    const file = join(temporaryFolder(t), 'identity.json');
    writeFileSync(file, damage);
    const identity = await loadIdentity(file, 'x');
    assert.match(identity.warning ?? '', /damaged/);
    assert.equal(readFileSync(`${file}.damaged`, 'utf8'), damage);
    assert.deepEqual(await loadIdentity(file, 'x'), { id: identity.id, name: 'x' });
  }
});

test('a file that cannot be read is an error that names it', async (t) => {
  const file = join(temporaryFolder(t), 'identity.json');
  mkdirSync(file);
  await assert.rejects(loadIdentity(file, 'x'), { code: 'store_failed', message: /identity\.json/ });
});

test('names are short, printable and without dots', () => {
  assert.equal(deviceName('pi-4.home.arpa'), 'pi-4');
  assert.equal(deviceName("Anna's Mac\u0007"), 'Annas Mac');
  assert.equal(deviceName('Küche'), 'Küche');
  assert.equal(deviceName(''), 'device');
  assert.equal(deviceName('...'), 'device');
  assert.equal(Buffer.byteLength(deviceName('ü'.repeat(100))), 62);
});
