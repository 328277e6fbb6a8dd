import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import type { AttentionSpec, EngineSpec, FeedForwardSpec } from '../../../daemon/engine/engine-spec.ts';
import { encodeControl, type OutgoingControl, PROTOCOL_VERSION } from '../../../daemon/protocol/control.ts';
import { FRAME_TYPES } from '../../../daemon/protocol/frames.ts';
import type { TileMatrix, TileShape } from '../../../daemon/tile/tile.ts';
import { roundUp } from '../../../kernels/formats.ts';
import { inputOf, mutate, stepOf } from '../../fixtures/hostile-frames.ts';
import { ANSWER_MS, errorOf, identity, type Load, SECRET, Target } from '../../fixtures/hostile-target.ts';
import { Random } from '../../fixtures/random.ts';
import { RawDataLink } from '../../fixtures/raw-data-link.ts';

const rates = { lone: 1, all: 1, wide: 1 };
const profile = {
  ...{ formats: {}, attention: rates, phaseMs: 1, disk: 1, readingMs: 0 },
  memory: { budget: 1, base: 1, threadBytes: 1 },
};

test('hostile control messages of a coordinator with the right key', async (t) => {
  const target = await Target.start(t);
  const { spec, tiles } = target;
  const kv = tiles[0]!;

  await t.test('loads that are inconsistent', async () => {
    const [, attention, ffn] = tiles as [TileShape, TileShape, TileShape];
    const head = target.model.table.tiles.find(({ kind }) => kind === 'head')!;
    const keysAndValues = target.model.table.tiles.filter((tile) => tile.kind === 'kv' && tile.layer === 0);
    const [phase, feedForward] = spec.layers[0] as [AttentionSpec, FeedForwardSpec];
    const { heads, kvHeads, headDim } = phase;
    const altered = (fields: Partial<AttentionSpec>): EngineSpec => ({
      ...spec,
      layers: [[{ ...phase, ...fields }, feedForward], ...spec.layers.slice(1)],
    });
    const width = roundUp(2 * headDim, 32);
    const [q, out] = attention.matrices as [TileMatrix, TileMatrix];
    const acrossGroups = {
      ...attention,
      first: heads / kvHeads - 1,
      count: 2,
      matrices: [
        { ...q, rows: width },
        { ...out, cols: width },
      ],
    };
    const larger = { ...kv, matrices: kv.matrices.map((matrix) => ({ ...matrix, rows: matrix.rows + 8 })) };
    const cases: readonly (readonly [string, Partial<Load>])[] = [
      ['a tile twice', { tiles: [kv, kv] }],
      ['a head tile beyond the vocabulary', { tiles: [{ ...head, first: spec.vocabSize }] }],
      ['a head tile that takes another input', { tiles: [head], engine: { ...spec, head: 'f32' } }],
      ['attention without its key/value head', { tiles: [attention] }],
      ['a layer that the model does not have', { tiles: [{ ...kv, layer: spec.layers.length }] }],
      ['a head that the model does not have', { tiles: [{ ...kv, index: kvHeads, first: kvHeads }] }],
      ['a key/value tile of two heads', { tiles: [{ ...kv, count: 2 }] }],
      ['a matrix that is too large', { tiles: [larger] }],
      ['a matrix that is missing', { tiles: [{ ...ffn, matrices: ffn.matrices.slice(1) }] }],
      ['columns that are not those of the tile', { tiles: [{ ...ffn, count: ffn.count + 32 }] }],
      ['query heads of parts of two groups', { tiles: [...keysAndValues, acrossGroups] }],
      ['query heads beyond the last', { tiles: [kv, { ...attention, first: heads }] }],
      ['a width that is not padded', { engine: { ...spec, cols: spec.cols + 32 } }],
      ['key/value heads that do not divide', { engine: altered({ kvHeads: 3 }) }],
      ['a table that is not there', { engine: altered({ ropes: [0, 1] }) }],
      ['a table of another width', { engine: { ...spec, ropes: [headDim + 8] } }],
      ['two phases of a kind', { engine: { ...spec, layers: [[phase, phase]] } }],
      ['a vector that the tile does not have', { tiles: [{ ...kv, vectors: [8] }] }],
      ['a tile of a phase that the layer does not have', { tiles: [ffn], engine: { ...spec, layers: [[phase]] } }],
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
      ['a device that is lent to another', [{ t: 'lent', residentBytes: 1 }]],
      ['a profile', [{ t: 'profile', ...profile }]],
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
      await assert.rejects(RawDataLink.open(target.daemon.port, 'other', SECRET), /status 404/);
      data.send(stepOf(spec, 1));
      data.send(inputOf(spec, 1));
      assert.equal((await data.nextFrame()).header.type, FRAME_TYPES.SUMS);
    });

    // Before any hello: a load is not heard, and the daemon stays free.
    const silent = await target.raw();
    silent.send(encodeControl(target.load()));
    await target.assertServes('a load without a hello');
    silent.end();
  });

  await t.test('a coordinator that leaves at any moment leaves the device free', async () => {
    const messages: readonly OutgoingControl[] = [target.load(), { t: 'start' }];
    for (const waitMs of [0, 1, 5, 20, 100]) {
      const link = await target.raw();
      link.send(encodeControl({ t: 'hello', protocol: PROTOCOL_VERSION, ...identity, purpose: 'serve' }));
      for (const message of messages) link.send(encodeControl(message));
      await sleep(waitMs);
      link.socket.destroy();
      await target.assertServes(`a coordinator that left after ${waitMs} ms`);
    }
  });

  await t.test('100 mutated control messages', async () => {
    const random = new Random(7);
    const packr = new Packr({ useRecords: false });
    const seeds = [
      encodeControl(target.load()),
      encodeControl({ t: 'hello', protocol: PROTOCOL_VERSION, ...identity, purpose: 'serve' }),
      encodeControl({ t: 'ping', n: 1 }),
      encodeControl({ t: 'status_request' }),
      encodeControl({ t: 'borrow', modelName: 'hostile' }),
      encodeControl({ t: 'measure', session: 'hostile', secret: SECRET.toString('hex'), formats: ['Q8_0'] }),
      encodeControl({ t: 'forget' }),
      Buffer.from(packr.pack({ t: 'load', session: '../..', tiles: 'none', engine: null })),
    ];
    for (let i = 0; i < 100; i++) {
      const link = await target.raw();
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
