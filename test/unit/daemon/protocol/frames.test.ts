import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { StarlingError } from '../../../../daemon/errors.ts';
import { decodeFrame, encodeHeader, FRAME_TYPES, HEADER_BYTES, MAX_FRAME } from '../../../../daemon/protocol/frames.ts';
import { encodeFrame } from '../../../fixtures/encode-frame.ts';

const SUMS =
  '03' + // type
  '01' + // phase
  '4f00' + // layer 79
  '78563412' + // step
  '0200' + // rows
  '0800' + // format
  '05000000' + // payload length
  'ddccbbaa' + // index
  '00000100' + // offset
  '0102030405';

test('a frame is these bytes', () => {
  const fields = {
    type: FRAME_TYPES.SUMS,
    phase: 1,
    layer: 79,
    step: 0x12345678,
    rows: 2,
    format: 8,
    index: 0xaabbccdd,
    offset: 0x10000,
  };
  const message = encodeFrame(fields, [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3, 4, 5)]);
  assert.equal(message.toString('hex'), SUMS);
  const { header, payload } = decodeFrame(message);
  assert.deepEqual(header, { ...fields, length: 5 });
  assert.deepEqual([...payload], [1, 2, 3, 4, 5]);
});

test('fields that are left out are zero', () => {
  assert.equal(encodeFrame({ type: FRAME_TYPES.FAILED }, []).toString('hex'), `06${'00'.repeat(23)}`);
});

test('payloads may be shared memory, and are copied', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
  const message = encodeFrame({ type: FRAME_TYPES.TILE }, [shared]);
  shared.fill(9);
  assert.deepEqual([...decodeFrame(message).payload], [7, 7, 7, 7]);
});

test('the payload is a view at any alignment', () => {
  const message = Buffer.concat([Buffer.from('ff', 'hex'), Buffer.from(SUMS, 'hex')]).subarray(1);
  const { payload } = decodeFrame(message);
  assert.equal(payload.buffer, message.buffer);
  assert.equal(payload.byteOffset, message.byteOffset + 24);
});

test('unknown types are refused', () => {
  for (const type of [0, 10, 0x80, 0xff]) {
    const message = Buffer.from(SUMS, 'hex');
    message[0] = type;
    assert.throws(() => decodeFrame(message), { code: 'protocol_unknown_frame', message: new RegExp(`type ${type} `) });
  }
});

test('every wrong length is refused', () => {
  const whole = Buffer.from(SUMS, 'hex');
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => decodeFrame(whole.subarray(0, length)), { code: 'protocol_invalid_message' });
  }
  assert.throws(() => decodeFrame(Buffer.concat([whole, Buffer.alloc(1)])), { code: 'protocol_invalid_message' });
});

test('the limit holds for both directions', () => {
  assert.equal(encodeFrame({ type: FRAME_TYPES.TILE }, [new Uint8Array(MAX_FRAME)]).length, MAX_FRAME + HEADER_BYTES);
  assert.throws(() => encodeFrame({ type: FRAME_TYPES.TILE }, [new Uint8Array(MAX_FRAME), new Uint8Array(1)]), {
    code: 'protocol_frame_too_long',
  });
  const header = Buffer.alloc(HEADER_BYTES);
  assert.throws(() => encodeHeader(header, { type: FRAME_TYPES.TILE }, MAX_FRAME + 1), {
    code: 'protocol_frame_too_long',
  });
  encodeHeader(header, { type: FRAME_TYPES.TILE }, 0);
  header.writeUInt32LE(MAX_FRAME + 1, 12);
  assert.throws(() => decodeFrame(header), { code: 'protocol_frame_too_long' });
});

test('a field that does not fit is the sender’s error', () => {
  assert.throws(() => encodeFrame({ type: FRAME_TYPES.STEP, layer: 65536 }, []), RangeError);
  assert.throws(() => encodeFrame({ type: FRAME_TYPES.STEP, step: -1 }, []), RangeError);
});

test('random bytes are decoded or refused with a protocol error', () => {
  for (let i = 0; i < 20_000; i++) {
    const message = randomBytes(i % 64);
    if (i % 3 === 0 && message.length >= HEADER_BYTES) {
      message[0] = 1 + (i % 9);
      message.writeUInt32LE(message.length - HEADER_BYTES + (i % 2), 12);
    }
    try {
      const { header, payload } = decodeFrame(message);
      assert.equal(header.length, payload.length);
      assert.equal(encodeFrame(header, [payload]).compare(message), 0);
    } catch (error) {
      assert.ok(error instanceof StarlingError, String(error));
      assert.match(error.code, /^protocol_/);
    }
  }
});
