import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FRAME_TYPES, HEADER_BYTES, MAX_FRAME } from '../../../daemon/protocol/frames.ts';
import { HASH_BYTES, TILE_STATUS } from '../../../daemon/protocol/tile-transfer.ts';
import { tileLayout } from '../../../daemon/tile/tile.ts';
import { altered, closed, frame, inputOf, mutate, stepOf, tileOf } from '../../fixtures/hostile-frames.ts';
import { LINK_BACKENDS, Target } from '../../fixtures/hostile-target.ts';
import { Random } from '../../fixtures/random.ts';
import type { Closed } from '../../fixtures/raw-link.ts';

for (const backend of LINK_BACKENDS) {
  test(`hostile frames of a coordinator with the right key, to a device with ${backend} kernels and links`, async (t) => {
    const target = await Target.start(t, backend);
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
        [
          'a message beyond the limit',
          Buffer.alloc(MAX_FRAME + HEADER_BYTES + 1),
          closed(1009, 'protocol_frame_too_long'),
        ],
      ];
      await target.withSession('receiving', async ({ data, reopen }) => {
        let link = data;
        for (const [what, message, expected] of cases) {
          link.send(message);
          assert.deepEqual(await link.closed, expected, what);
          link = await reopen();
        }
        link.socket.write(Buffer.from('818500000000', 'hex'));
        link.socket.write('hello');
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
      const bytes = tileLayout(kv).bytes;
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

    assert.doesNotMatch(target.daemon.process.stderr, /"code":"internal"/);
  });
}
