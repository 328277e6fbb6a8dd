import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ropeValues } from '../../../daemon/engine/engine-spec.ts';
import { FRAME_TYPES, HEADER_BYTES } from '../../../daemon/protocol/frames.ts';
import { altered, closed, frame, inputOf, stepOf, tileOf } from '../../fixtures/hostile-frames.ts';
import { CONTEXT, LINK_BACKENDS, Target } from '../../fixtures/hostile-target.ts';
import type { RawDataLink } from '../../fixtures/raw-data-link.ts';

for (const backend of LINK_BACKENDS) {
  test(`hostile steps of a coordinator with the right key, to a device with ${backend} kernels and links`, async (t) => {
    const target = await Target.start(t, backend);
    const { spec, tiles } = target;
    const kv = tiles[0]!;

    await t.test('computing before the session is ready', async () => {
      await target.withSession('receiving', async ({ data, reopen }) => {
        data.send(inputOf(spec, 1));
        const { header, payload } = await data.nextFrame();
        assert.equal(header.type, FRAME_TYPES.FAILED);
        assert.equal(
          (JSON.parse(Buffer.from(payload).toString()) as { code: string }).code,
          'protocol_invalid_message',
        );
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
        ['too short a rotary table', stepOf(spec, 2, { rope: new Float32Array(ropeValues(spec)) })],
        ['too long a rotary table', stepOf(spec, 2, { rope: new Float32Array(ropeValues(spec) * 3) })],
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
      const failedCode = async (link: RawDataLink, what: string): Promise<void> => {
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
        assert.deepEqual(
          await data.closed,
          closed(1002, 'protocol_invalid_message'),
          'a step while a phase is computed',
        );
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

    assert.doesNotMatch(target.daemon.process.stderr, /"code":"internal"/);
  });
}
