import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import { Cluster } from '../../../coordinator/cluster/cluster.ts';
import { findDevices } from '../../../coordinator/cluster/find-devices.ts';
import { type OpenModel, openModel } from '../../../coordinator/model/open-model.ts';
import { engineSpec } from '../../../coordinator/tiles/tile-table.ts';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import type { Step } from '../../../daemon/engine/step.ts';
import { type TileMatrix, type TileShape, tileLayout } from '../../../daemon/engine/tile.ts';
import { createLogger } from '../../../daemon/log.ts';
import { packageRoot } from '../../../daemon/paths.ts';
import { processMemory } from '../../../daemon/process-memory.ts';
import { encodeControl, type OutgoingControl, PROTOCOL_VERSION } from '../../../daemon/protocol/control.ts';
import {
  encodeFrame,
  FRAME_TYPES,
  type FrameFields,
  HEADER_BYTES,
  MAX_FRAME,
} from '../../../daemon/protocol/frames.ts';
import type { ControlLink } from '../../../daemon/protocol/link.ts';
import { dialControl } from '../../../daemon/protocol/link-client.ts';
import { encodeStep } from '../../../daemon/protocol/step-codec.ts';
import { HASH_BYTES, TILE_STATUS } from '../../../daemon/protocol/tile-transfer.ts';
import { TileStore } from '../../../daemon/store/tile-store.ts';
import { bestBackend } from '../../../kernels/create-kernels.ts';
import { activationBytes, roundUp } from '../../../kernels/formats.ts';
import { LoneSequence } from '../../../scripts/lone-sequence.ts';
import { Random } from '../../fixtures/random.ts';
import { type Closed, RawLink } from '../../fixtures/raw-link.ts';
import { type DaemonHandle, Sandbox } from '../../fixtures/starling-sandbox.ts';

const CONTEXT = 128;
const TOKENS = [353, 285, 256, 265, 114];
const ANSWER_MS = 20_000;
type Load = Extract<OutgoingControl, { t: 'load' }>;

const identity = { id: '0123456789abcdef', name: 'hostile' };
const log = createLogger('silent', 'test');

/** A daemon to attack, and a model of which it has all tiles. */
class Target {
  readonly daemon: DaemonHandle;
  readonly model: OpenModel;
  readonly spec: EngineSpec;
  /** One tile of each kind that a device holds, from layer 0. */
  readonly tiles: readonly TileShape[];
  readonly #key: ClusterKey;
  readonly #store: TileStore;
  #expected = '';

  private constructor(daemon: DaemonHandle, model: OpenModel, key: ClusterKey, store: TileStore) {
    this.daemon = daemon;
    this.model = model;
    this.spec = engineSpec(model.table, CONTEXT, 'f16');
    this.tiles = ['kv', 'attention', 'ffn'].map(
      (kind) => model.table.tiles.find((tile) => tile.kind === kind && tile.layer === 0 && tile.index === 0)!,
    );
    this.#key = key;
    this.#store = store;
  }

  static async start(t: TestContext): Promise<Target> {
    const sandbox = new Sandbox(t);
    const key = ClusterKey.generate();
    const daemon = await sandbox.daemon('target', await sandbox.homeWithKey('target', key));
    const model = await openModel(join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf'));
    t.after(() => model.gguf.close());
    const target = new Target(daemon, model, key, new TileStore(join(sandbox.folder, 'own-store')));
    target.#expected = await target.#compute(false);
    assert.equal(await target.#compute(true), target.#expected);
    return target;
  }

  /** Asserts that the daemon is alive and that an honest coordinator gets the right bits from it. */
  async assertServes(after: string): Promise<void> {
    assert.ok(this.daemon.process.running, `the daemon ended after ${after}: ${this.daemon.process.stderr}`);
    assert.equal(await this.#compute(true), this.#expected, after);
  }

  /** A control link that has said hello. */
  async greet(): Promise<ControlLink> {
    const link = await dialControl({ host: '127.0.0.1', port: this.daemon.port, key: this.#key, timeoutMs: ANSWER_MS });
    link.send({ t: 'hello', protocol: PROTOCOL_VERSION, ...identity, purpose: 'serve' });
    await link.next(['welcome'], ANSWER_MS);
    return link;
  }

  load(fields: Partial<Load> = {}): Load {
    const { id, spec } = this.model;
    const own = { session: 'hostile', modelId: id, modelName: spec.name, engine: this.spec, tiles: this.tiles };
    return { t: 'load', ...own, ...fields };
  }

  raw(path: string): Promise<RawLink> {
    return RawLink.open(this.daemon.port, this.#key, path);
  }

  /** A session in the given state, used and then ended. */
  async withSession(
    state: 'receiving' | 'ready',
    use: (session: { control: ControlLink; data: RawLink; reopen: () => Promise<RawLink> }) => Promise<void>,
  ): Promise<void> {
    const control = await this.#idleControl();
    const links: RawLink[] = [];
    const reopen = async (): Promise<RawLink> => {
      const link = await this.raw('/data/hostile');
      links.push(link);
      return link;
    };
    try {
      control.send(this.load());
      assert.deepEqual((await control.next(['missing'], ANSWER_MS)).indices, []);
      const data = await reopen();
      if (state === 'ready') {
        control.send({ t: 'start' });
        await control.next(['ready'], ANSWER_MS);
      }
      await use({ control, data, reopen });
    } finally {
      for (const link of links) link.end();
      control.close();
    }
  }

  /** A greeted link to the daemon once it has noticed that the last coordinator left. */
  async #idleControl(): Promise<ControlLink> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const link = await dialControl({
        host: '127.0.0.1',
        port: this.daemon.port,
        key: this.#key,
        timeoutMs: ANSWER_MS,
      });
      link.send({ t: 'hello', protocol: PROTOCOL_VERSION, ...identity, purpose: 'serve' });
      if (!(await link.next(['welcome'], ANSWER_MS)).busy) return link;
      link.close();
      await sleep(20);
    }
    throw new Error('the daemon stays busy although its coordinator has left');
  }

  /** @returns a hash of the logits that the model gives, computed with the daemon or without it */
  async #compute(withDaemon: boolean): Promise<string> {
    if (withDaemon) (await this.#idleControl()).close();
    const peers = withDaemon ? [{ host: '127.0.0.1', port: this.daemon.port }] : [];
    const ranks = await findDevices({ key: this.#key, identity, peers, discovery: null, waitMs: 0, log });
    assert.equal(ranks.length, peers.length);
    const cluster = await Cluster.start({
      model: this.model,
      ranks,
      ownShare: !withDaemon,
      store: this.#store,
      backend: bestBackend(),
      threads: 1,
      memory: processMemory(4e9),
      contextLength: CONTEXT,
      kv: 'f16',
      log,
    });
    try {
      const logits = await new LoneSequence(cluster.forward).append(TOKENS);
      return createHash('sha256')
        .update(Buffer.from(Float32Array.from(logits).buffer))
        .digest('hex');
    } finally {
      await cluster.stop();
    }
  }
}

/** A frame as bytes. */
const frame = (fields: FrameFields, ...payloads: Uint8Array[]): Buffer => encodeFrame(fields, payloads);

/** A frame with one field of its header overwritten. */
function altered(message: Buffer, offset: number, value: number, bytes: 1 | 2 | 4): Buffer {
  const copy = Buffer.from(message);
  copy.writeUIntLE(value, offset, bytes);
  return copy;
}

function stepOf(spec: EngineSpec, rows: number, fields: Partial<Step> = {}): Buffer {
  const step: Step = {
    positions: Uint32Array.from({ length: rows }, (_, row) => row),
    sequences: new Uint16Array(rows),
    pages: [Uint32Array.of(0, 1)],
    rope: new Float32Array(rows * spec.headDim).fill(0.5),
    ...fields,
  };
  return frame({ type: FRAME_TYPES.STEP, step: 1, rows }, encodeStep(step));
}

const inputOf = (spec: EngineSpec, rows: number, fields: Partial<FrameFields> = {}, extraBytes = 0): Buffer =>
  frame(
    { type: FRAME_TYPES.INPUT, step: 1, layer: 0, phase: 0, rows, ...fields },
    new Uint8Array(rows * activationBytes('q8', spec.cols) + extraBytes),
  );

const tileOf = (tile: TileShape, fields: Partial<FrameFields> = {}, content?: Uint8Array): Buffer => {
  const bytes = content ?? new Uint8Array(tileLayout(tile.matrices).bytes);
  const sha256 = createHash('sha256').update(bytes).digest();
  return frame({ type: FRAME_TYPES.TILE, index: 0, offset: 0, ...fields }, sha256, bytes);
};

const closed = (code: number, reason: string): Closed => ({ code, reason });

/** What a control link ends with: the error that it was told. */
async function errorOf(link: ControlLink): Promise<string> {
  const error = await link.next(['error'], ANSWER_MS);
  assert.equal(error.fatal, true);
  assert.ok(error.message.length > 10);
  return error.code;
}

test('a hostile coordinator with the right key', async (t) => {
  const target = await Target.start(t);
  const { spec, tiles } = target;
  const kv = tiles[0]!;

  await t.test('frames that are none close the data link with a reason', async () => {
    const input = inputOf(spec, 1);
    const invalid = closed(1002, 'protocol_invalid_message');
    const cases: readonly (readonly [string, Buffer, Closed])[] = [
      ['type 0', altered(input, 0, 0, 1), closed(1002, 'protocol_unknown_frame')],
      ['type 200', altered(input, 0, 200, 1), closed(1002, 'protocol_unknown_frame')],
      ['a type that only devices send', frame({ type: FRAME_TYPES.SUMS }), invalid],
      ['an acknowledgement', frame({ type: FRAME_TYPES.TILE_ACK }), invalid],
      ['nothing', Buffer.alloc(0), invalid],
      ['half a header', input.subarray(0, HEADER_BYTES / 2), invalid],
      ['a truncated payload', input.subarray(0, input.length - 1), invalid],
      ['a payload beyond its length', Buffer.concat([input, Buffer.of(0)]), invalid],
      ['a length beyond the limit', altered(input, 12, MAX_FRAME + 1, 4), closed(1009, 'protocol_frame_too_long')],
      ['a message beyond the limit', Buffer.alloc(MAX_FRAME + HEADER_BYTES + 1), closed(1009, '')],
    ];
    await target.withSession('receiving', async ({ data, reopen }) => {
      let link = data;
      for (const [what, message, expected] of cases) {
        link.send(message);
        assert.deepEqual(await link.closed, expected, what);
        link = await reopen();
      }
      link.sendText('hello');
      assert.deepEqual(await link.closed, invalid, 'text');
    });
    await target.assertServes('frames that are none');
  });

  await t.test('bytes that are no WebSocket message, and a cut in the middle of one', async () => {
    await target.withSession('receiving', async ({ data, reopen }) => {
      data.socket.write(Buffer.from('ff00ff00ff00', 'hex'));
      await data.closed;
      const second = await reopen();
      // The header of a message of 1000 bytes, of which 2 come.
      second.socket.write(Buffer.from('82fe03e8000000000101', 'hex'));
      second.socket.destroy();
      await second.closed;
    });
    await target.assertServes('bytes that are no message');
  });

  await t.test('tiles that do not fit the load', async () => {
    const bytes = tileLayout(kv.matrices).bytes;
    const half = new Uint8Array(bytes / 2);
    const cases: readonly (readonly [string, Buffer[]])[] = [
      ['an index out of range', [tileOf(kv, { index: 3 })]],
      ['the largest index', [tileOf(kv, { index: 0xffff_ffff })]],
      ['a piece without its start', [tileOf(kv, { offset: 64 })]],
      ['no content', [frame({ type: FRAME_TYPES.TILE }, new Uint8Array(HASH_BYTES))]],
      ['half a hash', [frame({ type: FRAME_TYPES.TILE }, new Uint8Array(HASH_BYTES / 2))]],
      ['too much content', [tileOf(kv, {}, new Uint8Array(bytes + 1))]],
      ['a gap', [tileOf(kv, {}, half), frame({ type: FRAME_TYPES.TILE, offset: half.length + 1 }, half)]],
      ['an overlap', [tileOf(kv, {}, half), frame({ type: FRAME_TYPES.TILE, offset: half.length - 1 }, half)]],
      ['an offset far beyond', [tileOf(kv, {}, half), frame({ type: FRAME_TYPES.TILE, offset: 0xffff_ffff }, half)]],
      [
        'a piece of another tile',
        [tileOf(kv, {}, half), frame({ type: FRAME_TYPES.TILE, index: 1, offset: 64 }, half)],
      ],
      ['an empty piece', [tileOf(kv, {}, half), frame({ type: FRAME_TYPES.TILE, offset: half.length })]],
    ];
    await target.withSession('receiving', async ({ data, reopen }) => {
      let link = data;
      for (const [what, messages] of cases) {
        for (const message of messages) link.send(message);
        assert.deepEqual(await link.closed, closed(1002, 'protocol_invalid_message'), what);
        link = await reopen();
      }
      // A tile of the right size whose content is not what its hash says is asked for again, and not stored.
      const message = tileOf(kv);
      message[HEADER_BYTES + HASH_BYTES + 5]! ^= 1;
      for (let round = 0; round < 3; round++) {
        link.send(message);
        const { header } = await link.nextFrame();
        assert.deepEqual([header.type, header.index, header.format], [FRAME_TYPES.TILE_ACK, 0, TILE_STATUS.damaged]);
      }
    });
    await target.assertServes('tiles that do not fit');
  });

  await t.test('computing before the session is ready', async () => {
    await target.withSession('receiving', async ({ data, reopen }) => {
      data.send(inputOf(spec, 1));
      const { header, payload } = await data.nextFrame();
      assert.equal(header.type, FRAME_TYPES.FAILED);
      assert.equal((JSON.parse(Buffer.from(payload).toString()) as { code: string }).code, 'protocol_invalid_message');
      data.send(stepOf(spec, 1));
      assert.deepEqual(await data.closed, closed(1002, 'protocol_invalid_message'));
      await reopen();
    });
    await target.assertServes('computing too early');
  });

  await t.test('steps that cannot be', async () => {
    const good = stepOf(spec, 2);
    const cases: readonly (readonly [string, Buffer])[] = [
      ['no rows', altered(good, 8, 0, 2)],
      ['more rows than a step has', altered(good, 8, 65, 2)],
      ['more rows than the payload', altered(good, 8, 3, 2)],
      ['no payload', frame({ type: FRAME_TYPES.STEP, step: 1, rows: 1 })],
      ['odd bytes', frame({ type: FRAME_TYPES.STEP, step: 1, rows: 1 }, new Uint8Array(5))],
      ['no sequence', altered(good, HEADER_BYTES, 0, 4)],
      ['more sequences than rows', altered(good, HEADER_BYTES, 3, 4)],
      ['2^32 − 1 sequences', altered(good, HEADER_BYTES, 0xffff_ffff, 4)],
      ['a row of a sequence that is not there', altered(good, HEADER_BYTES + 8, 1, 4)],
      ['a row of sequence 65536', altered(good, HEADER_BYTES + 8, 65_536, 4)],
      ['a page that does not exist', stepOf(spec, 2, { pages: [Uint32Array.of(spec.kvPages)] })],
      ['the last page there could be', stepOf(spec, 2, { pages: [Uint32Array.of(0xffff_ffff)] })],
      ['more pages than there are', stepOf(spec, 2, { pages: [new Uint32Array(spec.kvPages + 1)] })],
      ['2^32 − 1 pages', altered(good, HEADER_BYTES + 20, 0xffff_ffff, 4)],
      ['a position without a page', stepOf(spec, 2, { positions: Uint32Array.of(0, CONTEXT) })],
      ['the last position there could be', stepOf(spec, 2, { positions: Uint32Array.of(0, 0xffff_ffff) })],
      ['too short a rotary table', stepOf(spec, 2, { rope: new Float32Array(spec.headDim) })],
      ['too long a rotary table', stepOf(spec, 2, { rope: new Float32Array(spec.headDim * 3) })],
    ];
    await target.withSession('ready', async ({ data, reopen }) => {
      let link = data;
      for (const [what, message] of cases) {
        link.send(message);
        assert.deepEqual(await link.closed, closed(1002, 'protocol_invalid_message'), what);
        link = await reopen();
      }
      // The same session computes a good step after all that.
      link.send(good);
      link.send(inputOf(spec, 2));
      const { header } = await link.nextFrame();
      assert.deepEqual([header.type, header.rows, header.layer], [FRAME_TYPES.SUMS, 2, 0]);
    });
    await target.assertServes('steps that cannot be');
  });

  await t.test('inputs that do not fit the step', async () => {
    const cases: readonly (readonly [string, Buffer])[] = [
      ['a byte too many', inputOf(spec, 2, {}, 1)],
      ['a byte too few', inputOf(spec, 2, {}, -1)],
      ['nothing', frame({ type: FRAME_TYPES.INPUT, step: 1, rows: 2 })],
      ['a row after the last', inputOf(spec, 1, { index: 2 })],
      ['rows that reach beyond the last', inputOf(spec, 2, { index: 1 })],
      ['rows from 2^32 − 1 on', inputOf(spec, 1, { index: 0xffff_ffff })],
      ['more rows than any step', inputOf(spec, 65)],
      ['rows that are not there', inputOf(spec, 2, { rows: 1 })],
      ['phase 2, the head', inputOf(spec, 2, { phase: 2 })],
      ['phase 255', inputOf(spec, 2, { phase: 255 })],
      ['a layer beyond the last', inputOf(spec, 2, { layer: spec.layers.length })],
      ['layer 65535', inputOf(spec, 2, { layer: 65_535 })],
    ];
    const failedCode = async (link: RawLink, what: string): Promise<void> => {
      const { header, payload } = await link.nextFrame();
      assert.equal(header.type, FRAME_TYPES.FAILED, what);
      const { code, message } = JSON.parse(Buffer.from(payload).toString()) as { code: string; message: string };
      assert.equal(code, 'protocol_invalid_message', what);
      assert.ok(message.length > 10, what);
    };
    await target.withSession('ready', async ({ data }) => {
      data.send(inputOf(spec, 0));
      await failedCode(data, 'no rows, before any step');
      data.send(stepOf(spec, 2));
      for (const [what, message] of cases) {
        data.send(message);
        await failedCode(data, what);
      }
      // Three at once: two are computed, one after the other, and the third is refused.
      data.socket.cork();
      for (const index of [0, 1, 0]) data.send(inputOf(spec, 1, { index }));
      data.socket.uncork();
      const answers = [await data.nextFrame(), await data.nextFrame(), await data.nextFrame()];
      assert.deepEqual(
        answers.map(({ header }) => [header.type, header.index]),
        [
          [FRAME_TYPES.FAILED, 0],
          [FRAME_TYPES.SUMS, 0],
          [FRAME_TYPES.SUMS, 1],
        ],
      );
      assert.match(Buffer.from(answers[0]!.payload).toString(), /a phase came before one of 2 was answered/);
      // A layer and phase of which it has no tiles: nothing to add.
      data.send(inputOf(spec, 2, { layer: 1, phase: 1 }));
      assert.equal((await data.nextFrame()).header.type, FRAME_TYPES.SUMS);
      data.send(tileOf(kv));
      assert.deepEqual(await data.closed, closed(1002, 'protocol_invalid_message'), 'a tile when all are loaded');
    });
    await target.withSession('ready', async ({ data }) => {
      data.send(stepOf(spec, 2));
      data.socket.cork();
      data.send(inputOf(spec, 2));
      data.send(stepOf(spec, 2));
      data.socket.uncork();
      assert.deepEqual(await data.closed, closed(1002, 'protocol_invalid_message'), 'a step while a phase is computed');
    });
    await target.assertServes('inputs that do not fit');
  });

  await t.test('activations that are not finite are a numeric overflow, not a wrong sum', async () => {
    await target.withSession('ready', async ({ data }) => {
      for (const bits of [0x7fc0_0000, 0x7f80_0000, 0x7f7f_ffff]) {
        data.send(stepOf(spec, 1));
        const input = inputOf(spec, 1);
        const values = input.subarray(HEADER_BYTES);
        values.fill(127, 0, spec.cols);
        for (let block = 0; block < spec.cols / 32; block++) values.writeUInt32LE(bits, spec.cols + block * 4);
        input.writeUInt8(1, 1);
        data.send(input);
        const { header, payload } = await data.nextFrame();
        assert.equal(header.type, FRAME_TYPES.FAILED);
        assert.equal((JSON.parse(Buffer.from(payload).toString()) as { code: string }).code, 'numeric_overflow');
      }
    });
    await target.assertServes('activations that are not finite');
  });

  await t.test('loads that are inconsistent', async () => {
    const [, attention, ffn] = tiles as [TileShape, TileShape, TileShape];
    const head = target.model.table.tiles.find(({ kind }) => kind === 'head')!;
    const keysAndValues = target.model.table.tiles.filter((tile) => tile.kind === 'kv' && tile.layer === 0);
    const width = roundUp(2 * spec.headDim, 32);
    const [q, out] = attention.matrices as [TileMatrix, TileMatrix];
    const acrossGroups = {
      ...attention,
      first: spec.heads / spec.kvHeads - 1,
      count: 2,
      matrices: [
        { ...q, rows: width },
        { ...out, cols: width },
      ],
    };
    const larger = { ...kv, matrices: kv.matrices.map((matrix) => ({ ...matrix, rows: matrix.rows + 8 })) };
    const cases: readonly (readonly [string, Partial<Load>])[] = [
      ['a tile twice', { tiles: [kv, kv] }],
      ['a tile of the head', { tiles: [head] }],
      ['attention without its key/value head', { tiles: [attention] }],
      ['a layer that the model does not have', { tiles: [{ ...kv, layer: spec.layers.length }] }],
      ['a head that the model does not have', { tiles: [{ ...kv, index: spec.kvHeads, first: spec.kvHeads }] }],
      ['a key/value tile of two heads', { tiles: [{ ...kv, count: 2 }] }],
      ['a matrix that is too large', { tiles: [larger] }],
      ['a matrix that is missing', { tiles: [{ ...ffn, matrices: ffn.matrices.slice(1) }] }],
      ['columns that are not those of the tile', { tiles: [{ ...ffn, count: ffn.count + 32 }] }],
      ['query heads of parts of two groups', { tiles: [...keysAndValues, acrossGroups] }],
      ['query heads beyond the last', { tiles: [kv, { ...attention, first: spec.heads }] }],
      ['a width that is not padded', { engine: { ...spec, cols: spec.cols + 32 } }],
      ['key/value heads that do not divide', { engine: { ...spec, kvHeads: 3 } }],
    ];
    for (const [what, fields] of cases) {
      const link = await target.greet();
      link.send(target.load(fields));
      assert.equal(await errorOf(link), 'protocol_invalid_message', what);
    }
    await target.assertServes('loads that are inconsistent');
  });

  await t.test('a load beyond the memory of any device', async () => {
    const link = await target.greet();
    // 2^26 positions: 8 GiB of cache for each of the model's key/value heads.
    const caches = target.model.table.tiles.filter(({ kind }) => kind === 'kv');
    link.send(target.load({ engine: { ...spec, kvPages: 2 ** 20 }, tiles: caches }));
    await link.next(['missing'], ANSWER_MS);
    link.send({ t: 'start' });
    assert.equal(await errorOf(link), 'memory_too_small');
    await target.assertServes('a load beyond memory');
  });

  await t.test('control messages at the wrong time', async () => {
    const before: readonly (readonly [string, OutgoingControl[]])[] = [
      ['start before load', [{ t: 'start' }]],
      ['a second hello', [{ t: 'hello', protocol: PROTOCOL_VERSION, ...identity, purpose: 'serve' }]],
      ['what only a device says', [{ t: 'progress', done: 1, total: 1 }]],
      ['start twice', [target.load(), { t: 'start' }, { t: 'start' }]],
      ['start after unload', [target.load(), { t: 'unload' }, { t: 'start' }]],
    ];
    for (const [what, messages] of before) {
      const link = await target.greet();
      for (const message of messages) link.send(message);
      assert.equal(await errorOf(link), 'protocol_invalid_message', what);
      await target.assertServes(what);
    }
    const twice = await target.greet();
    twice.send(target.load());
    twice.send(target.load({ session: 'other' }));
    assert.equal(await errorOf(twice), 'device_busy');
    await target.assertServes('a second load');

    // Whoever comes while it is used is told so, and disturbs nothing.
    await target.withSession('ready', async ({ data }) => {
      const other = await target.greet();
      other.send(target.load({ session: 'other' }));
      assert.equal(await errorOf(other), 'device_busy');
      const stranger = await target.raw('/data/other');
      assert.deepEqual(await stranger.closed, closed(1002, 'protocol_invalid_message'));
      data.send(stepOf(spec, 1));
      data.send(inputOf(spec, 1));
      assert.equal((await data.nextFrame()).header.type, FRAME_TYPES.SUMS);
    });

    // Before any hello: a load is not heard, and the daemon stays free.
    const silent = await target.raw('/control');
    silent.send(encodeControl(target.load()));
    await target.assertServes('a load without a hello');
    silent.end();
  });

  await t.test('a coordinator that leaves at any moment leaves the device free', async () => {
    const messages: readonly OutgoingControl[] = [target.load(), { t: 'start' }];
    for (const waitMs of [0, 1, 5, 20, 100]) {
      const link = await target.raw('/control');
      link.send(encodeControl({ t: 'hello', protocol: PROTOCOL_VERSION, ...identity, purpose: 'serve' }));
      for (const message of messages) link.send(encodeControl(message));
      await sleep(waitMs);
      link.socket.destroy();
      await target.assertServes(`a coordinator that left after ${waitMs} ms`);
    }
  });

  await t.test('200 mutated frames', async () => {
    const random = new Random(20_26);
    const seeds = [stepOf(spec, 2), stepOf(spec, 1), inputOf(spec, 2), inputOf(spec, 1), tileOf(kv)];
    let closes = 0;
    await target.withSession('ready', async ({ data, reopen }) => {
      let link = data;
      for (let i = 0; i < 200; i++) {
        if (random.chance(0.5)) link.send(seeds[0]!);
        link.send(mutate(random, random.pick(seeds)));
        // A frame of zero type is refused for certain, so that every round ends in an answer.
        link.send(altered(seeds[0]!, 0, 0, 1));
        const { code } = await link.closed;
        assert.ok([1002, 1009].includes(code), `frame ${i} closed the link with ${code}`);
        closes++;
        link = await reopen();
      }
    });
    assert.equal(closes, 200);
    await target.assertServes('mutated frames');
  });

  await t.test('100 mutated control messages', async () => {
    const random = new Random(7);
    const packr = new Packr({ useRecords: false });
    const seeds = [
      encodeControl(target.load()),
      encodeControl({ t: 'hello', protocol: PROTOCOL_VERSION, ...identity, purpose: 'serve' }),
      encodeControl({ t: 'ping', n: 1 }),
      encodeControl({ t: 'status_request' }),
      Buffer.from(packr.pack({ t: 'load', session: '../..', tiles: 'none', engine: null })),
    ];
    for (let i = 0; i < 100; i++) {
      const link = await target.raw('/control');
      if (random.chance(0.7)) link.send(seeds[1]!);
      for (let n = 0; n < 3; n++) link.send(mutate(random, random.pick(seeds)));
      // Whatever came of those, this ends the link.
      link.sendText('end');
      await link.closed;
    }
    await target.assertServes('mutated control messages');
  });

  assert.doesNotMatch(target.daemon.process.stderr, /"code":"internal"/);
});

/** Bytes changed, cut out, repeated, or the end cut off; now and then only the payload of a frame. */
function mutate(random: Random, message: Buffer): Buffer {
  const bytes = Buffer.from(message);
  switch (random.below(5)) {
    case 0:
      return bytes.subarray(0, random.below(bytes.length));
    case 1:
      return Buffer.concat([bytes, random.bytes(random.between(1, 64))]);
    case 2: {
      const at = random.below(bytes.length);
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + random.between(1, 16)))]);
    }
    case 3:
      for (let n = random.between(1, 8); n > 0; n--) bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    default:
      // In the first bytes, where the fields are.
      for (let n = random.between(1, 4); n > 0; n--) {
        const at = random.below(Math.min(bytes.length, 48));
        bytes[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
      }
      return bytes;
  }
}
