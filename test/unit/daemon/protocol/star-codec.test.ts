import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ExpertsSpec, HEAD } from '../../../../daemon/engine/engine-spec.ts';
import { decodeFrame, FRAME_TYPES, type FrameHeader } from '../../../../daemon/protocol/frames.ts';
import {
  answerFrame,
  decodeUsage,
  encodeUsage,
  inputFrame,
  isAbout,
  type PhaseOfStep,
  readInput,
  stepFrame,
  USAGE_BYTES,
} from '../../../../daemon/protocol/star-codec.ts';
import { activationBytes } from '../../../../kernels/formats.ts';
import { encodeFrame } from '../../../fixtures/encode-frame.ts';
import { attentionSpec, feedForwardSpec, smallEngine } from '../../../fixtures/model-phases.ts';

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

const spec = smallEngine({
  ...{ dim: 64, cols: 64, vocabSize: 100, kvPages: 2 },
  layers: [[attentionSpec({ input: 'q8', tiles: 2, heads: 2 }), feedForwardSpec({ tiles: 2 })]],
});
const rows = { all: 3, heads: 1 };
const header = (of: PhaseOfStep): FrameHeader => {
  const message = encodeFrame(inputFrame(of), []);
  return decodeFrame(message).header;
};
const phase = (fields: Partial<PhaseOfStep>): PhaseOfStep => ({
  ...{ step: 9, layer: 0, phase: 1, rows: { first: 1, count: 2 } },
  ...fields,
});

test('an input says which phase of which rows it is, and so does its answer', () => {
  const of = phase({});
  assert.deepEqual(readInput(header(of), new Uint8Array(2 * 64 * 4), spec, rows), of);
  const answer = decodeFrame(encodeFrame(answerFrame(of), [])).header;
  assert.equal(answer.type, FRAME_TYPES.SUMS);
  assert.ok(isAbout(answer, of));
  for (const other of [{ step: 8 }, { layer: 1 }, { phase: 0 }, { rows: { first: 2, count: 2 } }] as const) {
    assert.ok(!isAbout(answer, phase(other)), JSON.stringify(other));
  }
  const head = phase({ phase: HEAD, rows: { first: 0, count: 1 } });
  assert.deepEqual(readInput(header(head), new Uint8Array(64 * 4), spec, rows), head);
  assert.equal(answerFrame(head).type, FRAME_TYPES.LOGITS);
  assert.equal(stepFrame(9, 3, 1).index, 1);
});

test('an input that does not fit the step is told', () => {
  const cases: readonly (readonly [string, PhaseOfStep, number])[] = [
    ['a byte too many', phase({}), 2 * 64 * 4 + 1],
    ['no rows', phase({ rows: { first: 0, count: 0 } }), 0],
    ['rows beyond the step', phase({ rows: { first: 2, count: 2 } }), 2 * 64 * 4],
    ['a layer that there is not', phase({ layer: 1 }), 2 * 64 * 4],
    ['a phase that there is not', phase({ phase: 3 as 2 }), 2 * 64 * 4],
    ['a head in a layer', phase({ phase: 2, layer: 1, rows: { first: 0, count: 1 } }), 64 * 4],
    ['a head of rows without logits', phase({ phase: HEAD, rows: { first: 0, count: 2 } }), 2 * 64 * 4],
  ];
  for (const [what, of, bytes] of cases) {
    assert.throws(
      () => readInput(header(of), new Uint8Array(bytes), spec, rows),
      { code: 'protocol_invalid_message' },
      what,
    );
  }
});

test('an input of experts comes with routes that can be followed', () => {
  const experts: ExpertsSpec = {
    ...{ kind: 'experts', input: 'q8', tiles: 4, experts: 3, used: 1, ffDim: 32, sharedFfDim: 0 },
    ...{ activation: 'silu', biased: false },
  };
  const mixture = smallEngine({ dim: 64, cols: 64, layers: [[attentionSpec(), experts]] });
  const of = phase({});
  const payload = Buffer.alloc(2 * (activationBytes('q8', 64) + 8));
  payload.writeUInt32LE(2, 2 * activationBytes('q8', 64) + 8);
  assert.deepEqual(readInput(header(of), payload, mixture, rows), of);
  const short = payload.subarray(0, payload.length - 8);
  assert.throws(() => readInput(header(of), short, mixture, rows), { code: 'protocol_invalid_message' });
  payload.writeUInt32LE(3, 2 * activationBytes('q8', 64));
  assert.throws(() => readInput(header(of), payload, mixture, rows), { message: /networks that there are not/ });
});

test('an input of attention that is normed over all heads comes with factors', () => {
  const attention = attentionSpec({ normed: 'all' });
  const normed = smallEngine({ layers: [[attention, feedForwardSpec()]] });
  const of = phase({ phase: 0 });
  const payload = Buffer.alloc(2 * (activationBytes('f32', 32) + 8));
  assert.deepEqual(readInput(header(of), payload, normed, rows), of);
  for (const wrong of [payload.subarray(8), Buffer.concat([payload, Buffer.alloc(8)])]) {
    assert.throws(() => readInput(header(of), wrong, normed, rows), { code: 'protocol_invalid_message' });
  }
  for (const factor of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    payload.writeFloatLE(factor, payload.length - 4);
    assert.throws(() => readInput(header(of), payload, normed, rows), { message: /factors that are out of range/ });
  }
});
