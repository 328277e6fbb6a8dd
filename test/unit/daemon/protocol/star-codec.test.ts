import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeUsage, encodeUsage, USAGE_BYTES } from '../../../../daemon/protocol/star-codec.ts';

test('the bytes are those of the protocol', () => {
  const bytes = encodeUsage({ computeMs: 1.5, diskMs: 0.25, bytesRead: 2 ** 33 + 1 });
  assert.equal(Buffer.from(bytes).toString('hex'), 'dc050000fa0000000100000002000000');
  assert.deepEqual(decodeUsage(bytes), { computeMs: 1.5, diskMs: 0.25, bytesRead: 2 ** 33 + 1 });
});

test('what does not fit is as much as fits', () => {
  const most = decodeUsage(encodeUsage({ computeMs: 1e9, diskMs: -5, bytesRead: -1 }));
  assert.deepEqual(most, { computeMs: 4_294_967.295, diskMs: 0, bytesRead: 0 });
});

test('it is found before sums at any alignment, and its lack or an absurd number is told', () => {
  const whole = Buffer.concat([Buffer.from('ff', 'hex'), encodeUsage({ computeMs: 1, diskMs: 2, bytesRead: 3 })]);
  assert.deepEqual(decodeUsage(whole.subarray(1)), { computeMs: 1, diskMs: 2, bytesRead: 3 });
  assert.throws(() => decodeUsage(new Uint8Array(USAGE_BYTES - 1)), { code: 'protocol_invalid_message' });
  assert.throws(() => decodeUsage(new Uint8Array(USAGE_BYTES).fill(255)), { code: 'protocol_invalid_message' });
});
