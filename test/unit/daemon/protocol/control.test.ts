import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { test } from 'node:test';
import { Packr } from 'msgpackr';
import { StarlingError } from '../../../../daemon/errors.ts';
import {
  type ControlMessage,
  decodeControl,
  encodeControl,
  errorFrom,
  errorMessage,
  MAX_CONTROL,
  MAX_TILES,
  PROTOCOL_VERSION,
} from '../../../../daemon/protocol/control.ts';
import { attentionSpec, feedForwardSpec } from '../../../fixtures/model-phases.ts';

const facts = {
  version: '0.1.0',
  id: '0123456789abcdef',
  name: 'pi',
  run: '0123456789abcdef',
  platform: 'linux',
  arch: 'arm64',
  cores: 4,
  memoryBytes: 8 * 2 ** 30,
  backend: 'native',
  threads: 4,
  busy: false,
  serving: null,
};

const memory = {
  budget: 9,
  base: 1,
  threads: 1,
  caches: 1,
  buffers: 1,
  pinned: 2,
  window: 3,
  pinnedTiles: 4,
  streamedTiles: 5,
};

const rates = { lone: 1.5e7, all: 4e7, wide: 0.25 };

const messages: ControlMessage[] = [
  { t: 'hello', protocol: PROTOCOL_VERSION, id: facts.id, name: 'desk', purpose: 'serve' },
  { t: 'welcome', protocol: PROTOCOL_VERSION, ...facts },
  {
    t: 'load',
    session: 's-1',
    secret: '5e'.repeat(32),
    modelId: 'ab'.repeat(16),
    modelName: 'tiny',
    engine: {
      dim: 64,
      cols: 64,
      vocabSize: 512,
      rmsEps: 1e-5,
      ropes: [8],
      layers: [[attentionSpec({ heads: 8, kvHeads: 4, headDim: 8, tiles: 12 }), feedForwardSpec({ tiles: 3 })]],
      head: 'q8',
      kv: 'f16',
      kvPages: 12,
    },
    tiles: [
      {
        ...{ kind: 'ffn', layer: 0, index: 1, first: 32, count: 32 },
        ...{ matrices: [{ format: 'Q8_0', rows: 32, cols: 64 }], vectors: [] },
      },
    ],
  },
  { t: 'missing', indices: [0, 7, 4_000_000_000] },
  { t: 'start' },
  { t: 'progress', done: 1, total: 2 ** 40 },
  { t: 'ready', memory },
  { t: 'unload' },
  { t: 'measure', session: 'm-1', secret: 'a0'.repeat(32), formats: ['Q8_0', 'Q4_K'] },
  {
    ...{ t: 'profile', formats: { Q8_0: rates }, attention: rates, phaseMs: 0, disk: 3.5e6, readingMs: 3e-7 },
    memory: { budget: 8e9, base: 1e8, threadBytes: 1e7 },
  },
  { t: 'forget' },
  { t: 'borrow', modelName: 'tiny' },
  { t: 'lent', residentBytes: 7e7 },
  { t: 'status_request' },
  { t: 'status', ...facts, serving: 'tiny', model: 'tiny', lent: false, tiles: 9, storeBytes: 5, rssBytes: 7, memory },
  { t: 'status', ...facts, model: null, lent: false, tiles: 0, storeBytes: 5, rssBytes: 7, memory: null },
  { t: 'error', code: 'out_of_memory', message: 'no', fatal: true },
  { t: 'ping', n: 0 },
  { t: 'pong', n: 0xffff_ffff },
];

const packr = new Packr({ useRecords: false });
const decodeValue = (value: unknown): ControlMessage => decodeControl(packr.pack(value));

test('every message goes round', () => {
  for (const message of messages) assert.deepEqual(decodeControl(encodeControl(message)), message);
});

test('encoded messages do not share memory', () => {
  const first = encodeControl({ t: 'ping', n: 1 });
  const copy = Buffer.from(first);
  encodeControl({ t: 'ping', n: 2 });
  assert.equal(first.compare(copy), 0);
});

test('a field too many, too few or out of bounds names itself', () => {
  assert.throws(() => decodeValue({ t: 'start', extra: 1 }), { code: 'protocol_invalid_message', message: /extra/ });
  assert.throws(() => decodeValue({ t: 'ping' }), { code: 'protocol_invalid_message', message: /ping.*\(n:/ });
  assert.throws(() => decodeValue({ t: 'missing', indices: [0, -1] }), { message: /indices\.1/ });
  assert.throws(() => decodeValue({ t: 'missing', indices: new Array(MAX_TILES + 1).fill(0) }), { message: /indices/ });
  assert.throws(() => decodeValue({ ...messages[2], modelId: '../../etc' }), { message: /modelId/ });
  assert.throws(() => decodeValue({ ...messages[2], session: 'a/b' }), { message: /session/ });
  assert.throws(
    () =>
      decodeValue({
        ...messages[2],
        tiles: [{ kind: 'embedding', layer: 0, index: 0, first: 0, count: 1, matrices: [] }],
      }),
    {
      message: /tiles\.0\.kind/,
    },
  );
  const load = messages[2];
  assert.ok(load?.t === 'load');
  assert.throws(() => decodeValue({ ...load, engine: { ...load.engine, kv: 'q4' } }), { message: /engine\.kv/ });
  assert.throws(() => decodeValue({ ...messages[1], cores: 1.5 }), { message: /cores/ });
  const measure = messages.find(({ t }) => t === 'measure');
  assert.throws(() => decodeValue({ ...measure, formats: ['Q7'] }), { message: /formats\.0/ });
  assert.throws(() => decodeValue({ ...measure, formats: new Array(100).fill('Q8_0') }), { message: /formats/ });
  const profile = messages.find(({ t }) => t === 'profile');
  for (const lone of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e13])
    assert.throws(() => decodeValue({ ...profile, attention: { ...rates, lone } }), { message: /attention\.lone/ });
  assert.throws(() => decodeValue({ ...profile, formats: { Q7: rates } }), { message: /formats/ });
});

test('unknown types and things that are no messages are refused', () => {
  for (const value of [
    { t: 'format_disk' },
    { t: 'constructor' },
    { t: '__proto__' },
    {},
    [],
    'hello',
    5,
    null,
    { t: 1 },
  ]) {
    assert.throws(() => decodeValue(value), { code: 'protocol_invalid_message' }, JSON.stringify(value));
  }
});

test('another version of the protocol is told as such', () => {
  const future = { t: 'hello', protocol: PROTOCOL_VERSION + 1, id: facts.id, name: 'x', purpose: 'serve', more: true };
  assert.throws(() => decodeValue(future), { code: 'protocol_version', message: /protocol 9, this one 8/ });
});

test('length is bounded in both directions', () => {
  assert.throws(() => decodeControl(Buffer.alloc(MAX_CONTROL + 1)), { code: 'protocol_frame_too_long' });
  const load = messages[2];
  assert.ok(load?.t === 'load');
  assert.throws(() => encodeControl({ ...load, modelName: 'y'.repeat(MAX_CONTROL) }), {
    code: 'protocol_frame_too_long',
  });
});

test('__proto__ as a field is an error like any other unknown field', () => {
  const bytes = encodeControl({ t: 'start', _aproto__: { polluted: 1 } } as ControlMessage);
  const forged = Buffer.from(bytes.toString('latin1').replace('_aproto__', '__proto__'), 'latin1');
  assert.throws(() => decodeControl(forged), { code: 'protocol_invalid_message', message: /__proto_/ });
  assert.equal(Reflect.get({}, 'polluted'), undefined);
});

test('errors cross the link', () => {
  const sent = errorMessage(new StarlingError('disk_full', 'no space'), true);
  const got = errorFrom(sent, '10.0.0.2:7');
  assert.equal(got.code, 'disk_full');
  assert.equal(got.message, '10.0.0.2:7: no space');
  assert.equal(errorFrom({ ...sent, code: 'from_the_future' }, 'x').code, 'device_error');
  assert.equal(errorFrom({ ...sent, code: 'constructor' }, 'x').code, 'device_error');
});

test('random and mutated bytes are decoded or refused with a protocol error', () => {
  const originals = messages.map(encodeControl);
  for (let i = 0; i < 20_000; i++) {
    let bytes: Buffer;
    if (i % 2 === 0) {
      bytes = randomBytes(i % 80);
    } else {
      bytes = Buffer.from(originals[i % originals.length] ?? []);
      for (let n = 0; n < 1 + (i % 3); n++) bytes[randomInt(bytes.length)] = randomInt(256);
      if (i % 5 === 0) bytes = bytes.subarray(0, randomInt(bytes.length));
    }
    try {
      assert.equal(typeof decodeControl(bytes).t, 'string');
    } catch (error) {
      assert.ok(error instanceof StarlingError, String(error));
      assert.match(error.code, /^protocol_/);
    }
  }
});
