import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '../../../../coordinator/cli/own-device.ts';

const logLevel = 'info' as const;
const storeDir = '/srv/tiles';

test('a device that is lent is used as its daemon was told, less what the daemon keeps', () => {
  const told = { backend: 'wasm', threads: 2, memory: 2e9, storeDir, storeLimit: 5e10 } as const;
  assert.deepEqual(settle({ logLevel }, { state: 'lent', told, residentBytes: 8e7 }), {
    backend: 'wasm',
    threads: 2,
    memory: 1.92e9,
    storeDir,
    storeLimit: 5e10,
    ownShare: true,
  });
  // What a daemon was not told is as by default: its memory then follows what is free, of which its own is no part.
  assert.deepEqual(settle({ logLevel }, { state: 'lent', told: { storeDir }, residentBytes: 8e7 }), {
    storeDir,
    ownShare: true,
  });
  assert.equal(settle({ logLevel }, { state: 'lent', told: { storeDir, memory: 5e7 }, residentBytes: 8e7 }).memory, 1);
});

test('what the command itself was told comes first', () => {
  const told = { backend: 'wasm', threads: 2, memory: 2e9, storeDir, storeLimit: 5e10 } as const;
  const asked = { logLevel, backend: 'native', threads: 7, memory: 4e9, storeLimit: 1e10 } as const;
  assert.deepEqual(settle(asked, { state: 'lent', told, residentBytes: 8e7 }), {
    backend: 'native',
    threads: 7,
    memory: 4e9,
    storeDir,
    storeLimit: 1e10,
    ownShare: true,
  });
});

test('without a daemon the device is used as by default; one that is busy gives no share', () => {
  assert.deepEqual(settle({ logLevel, threads: 3 }, { state: 'none' }), { threads: 3, ownShare: true });
  assert.deepEqual(settle({ logLevel, memory: 1e9 }, { state: 'busy' }), { memory: 1e9, ownShare: false });
});
