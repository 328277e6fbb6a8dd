import assert from 'node:assert/strict';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { ClusterKey, createKey, importKey, loadKey, loadOrCreateKey } from '../../../daemon/cluster-key.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { recordedLog } from '../../fixtures/log-recorder.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const KEY = new ClusterKey(Uint8Array.from({ length: 32 }, (_, i) => i));
const TEXT = KEY.toText();

test('the text form goes round, whatever its case and white space', () => {
  assert.match(TEXT, /^starling-key-[a-z2-7]{58}$/);
  assert.ok(ClusterKey.parse(TEXT).equals(KEY));
  assert.ok(ClusterKey.parse(` ${TEXT.toUpperCase().slice(0, 30)}\n ${TEXT.slice(30)}\n`).equals(KEY));
  for (let i = 0; i < 50; i++) {
    const key = ClusterKey.generate();
    assert.ok(ClusterKey.parse(key.toText()).equals(key));
  }
});

test('the derived values of a known key never change', () => {
  // computed with Python's hmac and base64 modules
  assert.equal(KEY.keyId, '3ce80041');
  assert.equal(KEY.psk().toString('hex'), 'a41b373e2a13c09ffb3755b308fed26fc71768b4c56068bf9ed8685733f481c1');
  assert.equal(TEXT, 'starling-key-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypsxrj6ma');
});

test('every single mistyped, missing or doubled character is told', () => {
  for (let i = 0; i < TEXT.length; i++) {
    const other = TEXT[i] === 'a' ? 'b' : 'a';
    for (const wrong of [
      TEXT.slice(0, i) + other + TEXT.slice(i + 1),
      TEXT.slice(0, i) + TEXT.slice(i + 1),
      TEXT.slice(0, i) + TEXT[i] + TEXT.slice(i),
      `${TEXT.slice(0, i)}!${TEXT.slice(i + 1)}`,
    ]) {
      assert.throws(
        () => ClusterKey.parse(wrong),
        (error: unknown) => {
          assert.ok(error instanceof StarlingError);
          assert.equal(error.code, 'key_invalid');
          assert.ok(!error.message.includes(wrong.slice(20, 40)), 'the message must not repeat the key');
          return true;
        },
      );
    }
  }
});

test('a key shows itself nowhere by accident', () => {
  const secrets = [TEXT, KEY.psk().toString('hex'), KEY.psk().toString('base64')];
  const { log, lines } = recordedLog();
  log.info({ something: KEY, cluster: { k: KEY } }, `with ${KEY}`);
  const shown = [String(KEY), inspect(KEY, { showHidden: true, depth: 9 }), JSON.stringify({ KEY }), ...lines].join(
    '\n',
  );
  for (const secret of secrets) assert.ok(!shown.includes(secret));
  assert.ok(shown.includes(KEY.keyId));
});

test('keys are stored for the owner only and read back', async (t) => {
  const file = join(temporaryFolder(t), 'home', 'cluster.key');
  await assert.rejects(loadKey(file), { code: 'no_key', message: /starling key new/ });
  const key = await createKey(file);
  assert.ok((await loadKey(file)).equals(key));
  if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(await loadOrCreateKey(file), { key, created: false });
});

test('a key is replaced only by force', async (t) => {
  const file = join(temporaryFolder(t), 'cluster.key');
  const { key, created } = await loadOrCreateKey(file);
  assert.equal(created, true);
  await assert.rejects(createKey(file), { code: 'invalid_argument', message: /--force/ });
  await assert.rejects(importKey(file, KEY), { code: 'invalid_argument', message: new RegExp(key.keyId) });
  assert.ok((await loadKey(file)).equals(key));
  await importKey(file, key);
  await importKey(file, KEY, true);
  assert.ok((await loadKey(file)).equals(KEY));
});

test('of several that create at once all get the same key', async (t) => {
  const file = join(temporaryFolder(t), 'cluster.key');
  const all = await Promise.all([1, 2, 3, 4].map(() => loadOrCreateKey(file)));
  assert.equal(new Set(all.map(({ key }) => key.keyId)).size, 1);
  assert.equal(all.filter(({ created }) => created).length, 1);
});

test('a key that others can read is refused, with the command that helps', async (t) => {
  if (process.platform === 'win32') return t.skip('POSIX rights');
  const file = join(temporaryFolder(t), 'cluster.key');
  await importKey(file, KEY);
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(file, mode);
    await assert.rejects(loadKey(file), { code: 'key_invalid', message: /chmod 600/ });
  }
});

test('a damaged file is told without its content', async (t) => {
  const file = join(temporaryFolder(t), 'cluster.key');
  await importKey(file, KEY);
  const half = readFileSync(file, 'utf8').slice(0, 40);
  writeFileSync(file, half);
  await assert.rejects(loadKey(file), (error: unknown) => {
    assert.ok(error instanceof StarlingError && error.code === 'key_invalid');
    assert.ok(error.message.includes(file) && !error.message.includes(half.slice(13)));
    return true;
  });
});
