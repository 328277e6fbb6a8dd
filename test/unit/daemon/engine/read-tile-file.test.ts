import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { directStart, readTileFile } from '../../../../daemon/engine/read-tile-file.ts';
import { PAGE, slotBytesFor } from '../../../../daemon/engine/window-plan.ts';
import { type ErrorCode, StarlingError } from '../../../../daemon/errors.ts';
import { nativeTargets } from '../../../../kernels/native.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const code = (wanted: ErrorCode) => (error: unknown) => error instanceof StarlingError && error.code === wanted;

interface Case {
  readonly file: string;
  readonly content: Buffer;
  readonly slot: Uint8Array;
  readonly direct: boolean;
}

/** A tile's file, and memory for it as an arena has it: aligned only as far as kernels need. */
function prepare(t: TestContext, bytes: number, wantDirect: boolean): Case {
  const file = join(temporaryFolder(t), 'a.tile');
  const content = Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 8)) & 255));
  writeFileSync(file, Buffer.concat([content, createHash('sha256').update(content).digest()]));
  const slotBytes = slotBytesFor(bytes);
  const memory = new Uint8Array(new SharedArrayBuffer(slotBytes + 3 * PAGE));
  const start = wantDirect ? directStart([file], memory) : null;
  return { file, content, slot: memory.subarray(start ?? 16, (start ?? 16) + slotBytes), direct: start !== null };
}

/** Its files are nowhere but in memory. */
const TMPFS = 0x01021994;
const SIZES = [64, 4064, 4096, 4097, 1_000_000];

for (const direct of [false, true]) {
  test(`tiles are read whole and verified, ${direct ? 'directly' : 'through the cache'}`, (t) => {
    for (const bytes of SIZES) {
      const { file, content, slot, ...tile } = prepare(t, bytes, direct);
      if (direct && bytes >= PAGE && !tile.direct) return t.skip('this file system has no direct I/O');
      const checksum = readTileFile(file, slot, bytes, null, tile.direct);
      assert.ok(Buffer.from(slot.subarray(0, bytes)).equals(content), `${bytes} bytes`);
      assert.equal(checksum >>> 0, crc32(content));
      slot.fill(0);
      assert.equal(readTileFile(file, slot, bytes, checksum, tile.direct), checksum);
      assert.ok(Buffer.from(slot.subarray(0, bytes)).equals(content));
    }
  });

  test(`damage is noticed, ${direct ? 'directly' : 'through the cache'}`, (t) => {
    const bytes = 10_000;
    const { file, content, slot, ...tile } = prepare(t, bytes, direct);
    const read = (checksum: number | null) => readTileFile(file, slot, bytes, checksum, tile.direct);
    const checksum = read(null);
    const hash = createHash('sha256').update(content).digest();
    for (const at of [0, 5000, bytes - 1]) {
      const flipped = Buffer.from(content);
      flipped[at]! ^= 4;
      writeFileSync(file, Buffer.concat([flipped, hash]));
      for (const known of [null, checksum]) assert.throws(() => read(known), code('tile_damaged'), `byte ${at}`);
    }
    for (const damaged of [content.subarray(0, 4096), content, Buffer.alloc(0), Buffer.concat([content, hash, hash])]) {
      writeFileSync(file, damaged);
      for (const known of [null, checksum]) assert.throws(() => read(known), code('tile_damaged'), `${damaged.length}`);
    }
    rmSync(file);
    assert.throws(() => read(checksum), code('tile_missing'));
    writeFileSync(file, Buffer.concat([content, hash]));
    assert.equal(read(checksum), checksum);
  });
}

test('what is read through the cache does not stay there', (t) => {
  const { file, slot } = prepare(t, 1_000_000, false);
  const cached = (): number | null => {
    const { status, stdout } = spawnSync('fincore', ['--bytes', '--noheadings', '--output', 'RES', file]);
    return status === 0 ? Number(stdout.toString()) : null;
  };
  // Dirty pages stay until they are written.
  const descriptor = openSync(file, 'r+');
  fsyncSync(descriptor);
  closeSync(descriptor);
  const before = cached();
  if (before === null || nativeTargets().length === 0) return t.skip('needs fincore and the native kernels');
  if (before === 0 || statfsSync(file).type === TMPFS) return t.skip('this file system has no cache');
  readTileFile(file, slot, 1_000_000, null, false);
  assert.equal(cached(), 0);
});

test('where no file can be read directly, there is no place to begin', (t) => {
  const memory = new Uint8Array(2 * PAGE);
  assert.equal(directStart([], memory), null);
  assert.equal(directStart([join(temporaryFolder(t), 'none')], memory), null);
});
