import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RemoteRank } from '../../../coordinator/cluster/remote-rank.ts';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import type { RowRange } from '../../../daemon/engine/step.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { createLogger } from '../../../daemon/log.ts';
import { PROTOCOL_VERSION } from '../../../daemon/protocol/control.ts';
import type { ControlLink } from '../../../daemon/protocol/control-link.ts';
import type { DataLink } from '../../../daemon/protocol/data-link.ts';
import { FRAME_TYPES, type FrameHeader } from '../../../daemon/protocol/frames.ts';
import { LinkServer } from '../../../daemon/protocol/link-server.ts';
import { channelFor } from '../../../daemon/protocol/open-channel.ts';
import type { TileShape } from '../../../daemon/tile/tile.ts';
import { bestBackend } from '../../../kernels/create-kernels.ts';
import { smallEngine } from '../../fixtures/model-phases.ts';

const spec = smallEngine();
const matrix = { format: 'F32', rows: 32, cols: 32 } as const;
const tiles: TileShape[] = [
  { kind: 'ffn', layer: 0, index: 0, first: 0, count: 32, matrices: [matrix, matrix, matrix], vectors: [] },
];
const parts = { budget: 9, base: 1, threads: 1, caches: 1, buffers: 1, pinned: 2, window: 3 };
const phase = { step: 1, layer: 0, phase: 1, rows: { first: 0, count: 1 } } as const;

/** A device that holds the key and follows the protocol up to `ready`; what it says then is the test's. */
async function readyDevice(t: TestContext): Promise<{ rank: RemoteRank; control: ControlLink; data: DataLink }> {
  const key = ClusterKey.generate();
  const log = createLogger('silent', 'test');
  let control: ControlLink | undefined;
  let data: DataLink | undefined;
  let secret: Uint8Array | null = null;
  const openChannel = channelFor(bestBackend());
  const server = new LinkServer({
    key,
    log,
    onControl: (link) => {
      control = link;
      link.onMessage((message) => {
        const facts = {
          version: '0',
          id: 'd'.repeat(16),
          name: 'device',
          run: '0123456789abcdef',
          platform: 'p',
          arch: 'a',
          cores: 1,
        };
        const more = { memoryBytes: 9, backend: 'native', threads: 1, busy: false, serving: null };
        if (message.t === 'hello') link.send({ t: 'welcome', protocol: PROTOCOL_VERSION, ...facts, ...more });
        if (message.t === 'load') {
          secret = Buffer.from(message.secret, 'hex');
          link.send({ t: 'missing', indices: [] });
        }
        if (message.t === 'start') link.send({ t: 'ready', memory: { ...parts, pinnedTiles: 1, streamedTiles: 0 } });
      });
    },
    secretOf: () => secret,
    onData: (link) => {
      data = link;
    },
    openChannel,
  });
  const port = await server.start(0, '127.0.0.1');
  t.after(() => server.stop());
  const identity = { id: 'c'.repeat(16), name: 'coordinator' };
  const rank = await RemoteRank.dial({ host: '127.0.0.1', port, key, identity, openChannel });
  t.after(() => rank.close());
  assert.deepEqual(await rank.load({ id: '0'.repeat(32), name: 'model' }, spec, tiles), []);
  assert.deepEqual(await rank.start(), []);
  return { rank, control: control!, data: data! };
}

test('usage that is cut short or absurd ends the request, not the coordinator', async (t) => {
  const { rank, data } = await readyDevice(t);
  const answers = [Buffer.alloc(0), Buffer.alloc(15), Buffer.alloc(16, 255)];
  data.onFrame(({ header }) => {
    const { step, layer, phase, rows } = header;
    data.send({ type: FRAME_TYPES.SUMS, step, layer, phase, rows }, answers.shift() ?? Buffer.alloc(16 + 33));
  });
  for (let i = 0; i < 3; i++) {
    await assert.rejects(
      rank.compute(phase, Buffer.alloc(128), () => {}),
      { code: 'protocol_invalid_message' },
    );
  }
  const taken: number[] = [];
  const usage = await rank.compute(phase, Buffer.alloc(128), (_rows, content) => taken.push(content.length));
  assert.deepEqual(taken, [33]);
  assert.deepEqual(usage, { computeMs: 0, diskMs: 0, bytesRead: 0 });
});

test('answers to two phases find who waits for them, whatever their order', async (t) => {
  const { rank, data } = await readyDevice(t);
  const inputs: FrameHeader[] = [];
  data.onFrame(({ header }) => {
    inputs.push(header);
    if (inputs.length < 2) return;
    const answer = { type: FRAME_TYPES.SUMS, step: 1, layer: 0, phase: 1, rows: 1 };
    // Rows of which nobody has asked, the second phase, the first, and one again.
    for (const index of [7, 1, 0, 0]) data.send({ ...answer, index }, Buffer.alloc(16), Buffer.alloc(33 + index));
  });
  const lengths: number[] = [];
  const take = (rows: RowRange, content: Uint8Array): void => {
    lengths[rows.first] = content.length;
  };
  const first = rank.compute(phase, Buffer.alloc(128), take);
  const second = rank.compute({ ...phase, rows: { first: 1, count: 1 } }, Buffer.alloc(128), take);
  await Promise.all([first, second]);
  assert.deepEqual(lengths, [33, 34]);
  assert.deepEqual(
    inputs.map(({ index, rows }) => [index, rows]),
    [
      [0, 1],
      [1, 1],
    ],
  );
});

test('an answer may come in parts, in order and once', async (t) => {
  const { rank, data } = await readyDevice(t);
  const three = { ...phase, rows: { first: 0, count: 3 } };
  const answer = { type: FRAME_TYPES.SUMS, step: 1, layer: 0, phase: 1 };
  /** First rows and how many, in parts. */
  const answers: (readonly [number, number])[][] = [
    [
      [0, 1],
      [1, 2],
    ],
    [[1, 2]],
    [
      [0, 2],
      [0, 1],
    ],
    [
      [0, 2],
      [2, 2],
    ],
    [[0, 0]],
  ];
  data.onFrame(() => {
    for (const [index, rows] of answers.shift() ?? []) data.send({ ...answer, index, rows }, Buffer.alloc(16));
  });
  const taken: RowRange[] = [];
  await rank.compute(three, Buffer.alloc(3 * 128), (rows) => taken.push(rows));
  assert.deepEqual(taken, [
    { first: 0, count: 1 },
    { first: 1, count: 2 },
  ]);
  for (let i = 0; i < 4; i++) {
    await assert.rejects(
      rank.compute(three, Buffer.alloc(3 * 128), () => {}),
      { code: 'protocol_invalid_message' },
    );
  }
  const refused = rank.compute(phase, Buffer.alloc(128), () => {
    throw new StarlingError('protocol_invalid_message', 'sums that are malformed');
  });
  data.send({ ...answer, index: 0, rows: 1 }, Buffer.alloc(16));
  await assert.rejects(refused, { message: 'sums that are malformed' });
  assert.equal(rank.lost, false);
});

test('a device that is lost tells both phases that wait for it', async (t) => {
  const { rank, control } = await readyDevice(t);
  const waiting = [0, 1].map((first) =>
    rank.compute({ ...phase, rows: { first, count: 1 } }, Buffer.alloc(128), () => {}),
  );
  control.close();
  for (const answer of waiting) await assert.rejects(answer, { code: 'device_lost' });
});

test('why a device closes its data link is what its control link says, even a moment later', async (t) => {
  const { rank, control, data } = await readyDevice(t);
  const waiting = rank.compute(phase, Buffer.alloc(128), () => {});
  data.close();
  await sleep(50);
  control.send({ t: 'error', code: 'disk_full', message: 'no space', fatal: true });
  await assert.rejects(waiting, { code: 'disk_full' });
  assert.equal(rank.lostBecause?.code, 'disk_full');
});

test('a device whose data link alone ends is lost', async (t) => {
  const { rank, data } = await readyDevice(t);
  const waiting = rank.compute(phase, Buffer.alloc(128), () => {});
  data.close();
  await assert.rejects(waiting, { code: 'device_lost' });
});

test('a tile that is not its, asked for while it computes, ends the device', async (t) => {
  const { rank, control } = await readyDevice(t);
  const asked: string[] = [];
  rank.onMissing((wanted) => void asked.push(...wanted.map(({ kind }) => kind)));
  const lost = new Promise((resolve) => rank.onLost(resolve));
  control.send({ t: 'missing', indices: [0] });
  control.send({ t: 'missing', indices: [0, 1] });
  assert.equal(((await lost) as { code: string }).code, 'protocol_invalid_message');
  assert.deepEqual(asked, ['ffn']);
});

test('a device that is given up tells whoever waits for it', async (t) => {
  const { rank } = await readyDevice(t);
  const waiting = rank.compute(phase, Buffer.alloc(128), () => {});
  rank.giveUp(Object.assign(new Error('no tile'), { code: 'tile_damaged' }) as never);
  await assert.rejects(waiting, { code: 'tile_damaged' });
  assert.equal(rank.lost, true);
});
