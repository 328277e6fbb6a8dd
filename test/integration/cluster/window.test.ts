import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Cluster } from '../../../coordinator/cluster/cluster.ts';
import { type ErrorCode, StarlingError } from '../../../daemon/errors.ts';
import { createLogger } from '../../../daemon/log.ts';
import type { TileStoreOptions } from '../../../daemon/store/tile-store.ts';
import { BACKENDS, backendAvailable } from '../../../kernels/create-kernels.ts';
import { LoneSequence } from '../../../scripts/lone-sequence.ts';
import { recordedLog } from '../../fixtures/log-recorder.ts';
import { WindowCluster } from '../../fixtures/window-cluster.ts';

const log = createLogger('silent', 'test');
const code = (wanted: ErrorCode) => (error: unknown) => error instanceof StarlingError && error.code === wanted;

const tilesIn = (store: string): string[] =>
  readdirSync(store, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.tile'))
    .map((name) => join(store, name));

const names = (cluster: Cluster): string[] => cluster.account().devices.map(({ name }) => name);

const bytesRead = ({ cluster }: WindowCluster): number =>
  cluster.account().devices.reduce((sum, { bytesRead }) => sum + bytesRead, 0);

/** The logits of the whole model in memory of one device. */
let whole: string | undefined;

test('the same bits with any memory, with readers slowed at random', async (t) => {
  for (const daemons of [0, 1, 2, 3, 4]) {
    for (const memory of [1, 0.4, 0]) {
      const backend = BACKENDS[(daemons + Math.round(memory * 5)) % 2]!;
      const skip = !backendAvailable(backend) && `the ${backend} kernels are not built`;
      await t.test(`${daemons} daemons, memory ${memory}, ${backend}`, { skip }, async (t) => {
        const threads = daemons === 1 ? 3 : 1;
        const slowed = memory === 1 ? {} : { readDelayMs: 2 };
        const window = await WindowCluster.start(t, { daemons, memory, backend, threads, log, ...slowed });
        const logits = await window.logits();
        whole ??= logits;
        assert.equal(logits, whole);
        if (memory === 1) assert.equal(bytesRead(window), 0, 'a tile that is in memory was read');
        else assert.ok(bytesRead(window) > 0, 'nothing was streamed');
      });
    }
  }
});

test('the same bits with a shared head and both kinds of link at a time', async (t) => {
  const kinds = (['native', 'wasm'] as const).filter(backendAvailable);
  for (const daemons of [1, 2, 3, 4]) {
    for (const memory of [1, 0.4]) {
      await t.test(`${daemons} daemons, memory ${memory}`, async (t) => {
        const window = await WindowCluster.start(t, {
          ...{ daemons, memory, log, head: 'shared' },
          daemonBackend: (daemon) => kinds[daemon % kinds.length]!,
        });
        const logits = await window.logits();
        whole ??= logits;
        assert.equal(logits, whole);
        assert.equal(window.cluster.local.engine.layout.logits, null, 'the head is computed by the coordinator');
        if (memory < 1) assert.ok(bytesRead(window) > 0, 'nothing was streamed');
      });
    }
  }
});

test('no tile is read twice for a token', async (t) => {
  const window = await WindowCluster.start(t, { daemons: 0, memory: 0.1, log });
  const { streamed, pinned } = window.cluster.local.engine.tiles;
  assert.ok(streamed > 0 && pinned > 0);
  const sequence = new LoneSequence(window.cluster);
  await sequence.append([1]);
  const before = window.cluster.account().devices[0]!.bytesRead;
  for (let token = 2; token < 12; token++) await sequence.append([token]);
  const read = (window.cluster.account().devices[0]!.bytesRead - before) / 10;
  const all = tilesIn(window.stores[0]!).reduce((sum, file) => sum + readFileSync(file).length - 32, 0);
  // What was read ahead at the begin and at the end differs by less than a ring, which is less than the model.
  assert.ok(read > 0 && read < all, `${read} of ${all} bytes a token, ${pinned} tiles pinned`);
});

test('one pass over the tiles serves all rows', async (t) => {
  const window = await WindowCluster.start(t, { daemons: 0, memory: 0, log });
  const of = async (tokens: number[]): Promise<number> => {
    const sequence = new LoneSequence(window.cluster);
    const before = window.cluster.account().devices[0]!.bytesRead;
    await sequence.append(tokens);
    return window.cluster.account().devices[0]!.bytesRead - before;
  };
  await of([1]);
  const one = await of([1]);
  const many = await of(Array.from({ length: 64 }, (_, i) => i + 1));
  assert.ok(many <= 1.2 * one, `${many} bytes for 64 rows, ${one} for one`);
});

const damages: readonly (readonly [what: string, damage: (file: string) => void])[] = [
  [
    'a flipped bit',
    (file) => {
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1]! ^= 1;
      writeFileSync(file, bytes);
    },
  ],
  ['a truncated file', (file) => truncateSync(file, 100)],
  ['a file that is gone', (file) => rmSync(file)],
];

for (const [what, damage] of damages) {
  test(`${what} during a run is noticed before it is used, mended, and changes nothing`, async (t) => {
    const recorded = recordedLog();
    const window = await WindowCluster.start(t, { daemons: 2, memory: 0, log: recorded.log });
    const expected = await window.logits();
    whole ??= expected;
    assert.equal(expected, whole);
    const files = window.stores.flatMap(tilesIn);
    const intact = new Map(files.map((file) => [file, readFileSync(file)]));
    // Every tile of every device, between two tokens; what is in memory already is used, everything else is read again.
    const logits = await window.logits((step) => {
      if (step === 1) for (const file of files) damage(file);
    });
    assert.equal(logits, whole);
    assert.match(recorded.lines.join(''), /sending it again/);
    const mended = files.filter((file) => existsSync(file) && readFileSync(file).equals(intact.get(file)!));
    // With the least memory all tiles are streamed, but for one a device where their number is odd.
    assert.ok(mended.length >= files.length - 3, `${mended.length} of ${files.length} tiles were mended`);
  });
}

test('a tile that cannot be had is an error, and nobody waits for ever', async (t) => {
  const full = { now: false };
  const storeOptions = () => ({
    create: async (file: string) => {
      if (full.now) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return open(file, 'wx');
    },
  });
  const window = await WindowCluster.start(t, { daemons: 2, memory: 0, log, storeOptions });
  const sequence = new LoneSequence(window.cluster);
  await sequence.append([1, 2, 3]);
  full.now = true;
  for (const file of tilesIn(window.stores[1]!)) rmSync(file);
  await assert.rejects(async () => {
    for (let token = 4; token < 10; token++) await sequence.append([token]);
  }, code('disk_full'));
});

const noRoom: readonly (readonly [what: string, options: () => TileStoreOptions])[] = [
  ['whose --store-limit is too small', () => ({ limitBytes: 1e5 })],
  [
    'whose disk is full from the tenth tile on',
    () => {
      let files = 0;
      return {
        create: async (file) => {
          if (++files > 10) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
          return open(file, 'wx');
        },
      };
    },
  ],
];

for (const [what, options] of noRoom) {
  test(`a device ${what} is left out, and the others share the model`, async (t) => {
    const recorded = recordedLog();
    const window = await WindowCluster.start(t, {
      daemons: 3,
      memory: 1,
      log: recorded.log,
      storeOptions: (daemon) => (daemon === 1 ? options() : {}),
    });
    assert.deepEqual(names(window.cluster), ['this device', 'device-0', 'device-2']);
    const logits = await window.logits();
    whole ??= logits;
    assert.equal(logits, whole);
    assert.match(recorded.lines.join(''), /device-1 is left out/);
    const left = readdirSync(window.stores[1]!, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      left.filter((name) => name.endsWith('.tmp')),
      [],
      'something half-written was left',
    );
  });
}

test('a budget that is too small says the least that would do', async (t) => {
  await assert.rejects(
    WindowCluster.start(t, { daemons: 2, memory: -10, log }),
    (error) => code('memory_too_small')(error) && /the least that would do is --memory \d+MB/.test(String(error)),
  );
});

test('a transfer that is cut off goes on where it ended', async (t) => {
  const stores: string[] = [];
  // The device's disk fails half-way, as when it is switched off; there is no other device and no own share.
  const failing = {
    daemons: 1,
    memory: 1,
    log,
    storeOptions: () => {
      let files = 0;
      return {
        create: async (file: string) => {
          if (++files > 40) throw Object.assign(new Error('gone'), { code: 'EIO' });
          return open(file, 'wx');
        },
      };
    },
    onStores: (folders: readonly string[]) => void stores.push(...folders),
  };
  await assert.rejects(WindowCluster.start(t, failing), code('store_failed'));
  const before = tilesIn(stores[0]!);
  assert.ok(before.length >= 30 && before.length <= 40, `${before.length} tiles had arrived`);
  const written = new Map(before.map((file) => [file, statSync(file).mtimeMs]));
  const window = await WindowCluster.start(t, { daemons: 1, memory: 1, log, stores });
  const logits = await window.logits();
  whole ??= logits;
  assert.equal(logits, whole);
  for (const [file, mtime] of written) assert.equal(statSync(file).mtimeMs, mtime, `${file} was sent again`);
});
