import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Channel, channelKeys, closingFrame, type Side } from '../../../../daemon/protocol/channel.ts';
import { nativeChannels } from '../../../../daemon/protocol/native-channel.ts';
import { openJsChannel } from '../../../../daemon/protocol/open-channel.ts';
import { Random } from '../../../fixtures/random.ts';

const SECRET = Buffer.alloc(32, 1);
const NONCES = { coordinator: Buffer.alloc(16, 2), device: Buffer.alloc(16, 3) };
const HEADER = Buffer.from('0102030405060708090a0b0c0d0e0f101112131415161718', 'hex');

/** HEADER as the coordinator's message number 0: 82, its length with a mask, the mask, 24 bytes sealed, the tag. */
const FIRST_MESSAGE = '82a800000000e17b8f50311f299cba7e622b54b492a738f3a417b4c491d83a6096086a6427db0ab3423f8b32d482';

const native = nativeChannels();
const kinds = { JavaScript: openJsChannel, ...(native === null ? {} : { native }) };
const opened = (open: typeof openJsChannel, side: Side): Channel => open(channelKeys(SECRET, NONCES, side), side);
const send = (channel: Channel, header: Uint8Array, ...payloads: Uint8Array[]): Buffer =>
  channel.send(-1, header, payloads, Buffer.alloc)!;
const next = (channel: Channel): Buffer | null => {
  const message = channel.next(Buffer.alloc);
  return message === null ? null : Buffer.from(message);
};

describe('the keys of a link', () => {
  it('are those of the protocol, and the other side has them the other way round', () => {
    const coordinator = channelKeys(SECRET, NONCES, 'coordinator');
    const device = channelKeys(SECRET, NONCES, 'device');
    assert.deepEqual(coordinator, { seal: device.open, open: device.seal });
    assert.notDeepEqual(device.seal, device.open);
    const other = channelKeys(SECRET, { ...NONCES, device: Buffer.alloc(16, 4) }, 'coordinator');
    assert.notDeepEqual(other.seal, coordinator.seal);
  });
});

for (const [kind, open] of Object.entries(kinds)) {
  describe(`a ${kind} channel`, () => {
    it('has the bytes of the protocol', () => {
      const coordinator = opened(open, 'coordinator');
      assert.equal(send(coordinator, HEADER).toString('hex'), FIRST_MESSAGE);
      const device = opened(open, 'device');
      assert.equal(send(device, HEADER).toString('hex').slice(0, 4), '8228', 'a device does not mask');
      device.feed(Buffer.from(FIRST_MESSAGE, 'hex'));
      assert.deepEqual(next(device), HEADER);
      assert.equal(next(device), null);
    });

    it('reads what comes in pieces of any size', () => {
      const random = new Random(5);
      const [near, far] = [opened(open, 'device'), opened(open, 'coordinator')];
      const messages = Array.from({ length: 60 }, () => random.bytes(random.below(random.chance(0.1) ? 70_000 : 200)));
      const stream = Buffer.concat(messages.map((message) => send(near, HEADER, message, HEADER)));
      const found: Buffer[] = [];
      for (let at = 0; at < stream.length; ) {
        const end = Math.min(stream.length, at + random.between(1, random.chance(0.5) ? 20 : 30_000));
        far.feed(Buffer.from(stream.subarray(at, end)));
        at = end;
        for (let message = next(far); message !== null; message = next(far)) found.push(message);
      }
      assert.deepEqual(
        found,
        messages.map((message) => Buffer.concat([HEADER, message, HEADER])),
      );
    });

    it('hears why the other side closes, after what came before', () => {
      const [near, far] = [opened(open, 'coordinator'), opened(open, 'device')];
      far.feed(Buffer.concat([send(near, HEADER), closingFrame('coordinator', 1002, 'protocol_version')]));
      assert.deepEqual(next(far), HEADER);
      assert.equal(far.closing, null);
      assert.equal(next(far), null);
      assert.deepEqual(far.closing, { code: 1002, reason: 'protocol_version' });
      far.feed(send(near, HEADER));
      assert.equal(next(far), null, 'nothing follows');
      const quiet = opened(open, 'coordinator');
      quiet.feed(Buffer.from('8800', 'hex'));
      assert.equal(next(quiet), null);
      assert.deepEqual(quiet.closing, { code: 1005, reason: '' });
    });
  });
}
