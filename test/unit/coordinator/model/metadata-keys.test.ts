import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata, type MetadataValue } from '../../../../coordinator/model/gguf/metadata.ts';
import {
  ARCHITECTURE_KEYS,
  checkKeys,
  GENERAL_KEYS,
  noticeOfKeys,
} from '../../../../coordinator/model/metadata-keys.ts';
import { RopeTable } from '../../../../coordinator/rope-table.ts';
import { starlingError } from '../../../fixtures/gguf.ts';
import { LLAMA_CPP_KEYS } from '../../../fixtures/llama-cpp-keys.ts';

const number = (value: number): MetadataValue => ({ kind: 'number', value });
const rules = { architecture: 'llama', keys: {} };
const check = (key: string, value: MetadataValue): void =>
  checkKeys('m.gguf', new Metadata('m.gguf', new Map([[key, value]])), rules);

test('M5: every key that llama.cpp knows is known, and read, set aside or refused', () => {
  assert.ok(LLAMA_CPP_KEYS.length > 200);
  for (const name of LLAMA_CPP_KEYS) {
    const treatment = name.startsWith('%s.') ? ARCHITECTURE_KEYS[name.slice(3)] : GENERAL_KEYS[name];
    assert.notEqual(treatment, undefined, name);
    if (typeof treatment === 'string') continue;
    const key = name.replace('%s', 'llama');
    for (const value of [
      number(7.5),
      { kind: 'string', value: 'other' },
      { kind: 'unread', value: 'is long' },
    ] as const) {
      assert.throws(() => check(key, value), starlingError('model_invalid', 'm.gguf', key), name);
    }
    for (const neutral of treatment ?? []) {
      const kind = typeof neutral as 'number' | 'string' | 'boolean';
      check(key, { kind, value: neutral } as MetadataValue);
    }
  }
});

test('M5: what is refused is named, with its value', () => {
  const cases: readonly (readonly [key: string, value: MetadataValue, said: string])[] = [
    ['llama.attention.clamp_kqv', number(8), 'is 8, which is not supported'],
    ['llama.attention.causal', { kind: 'boolean', value: false }, 'is false'],
    ['llama.rope.dimension_sections', { kind: 'numbers', value: Int32Array.of(16, 24, 24, 0) }, 'is set'],
    ['llama.rope.scaling.yarn_ext_factor', number(0.5), 'is 0.5'],
    ['llama.hidden_activation', { kind: 'string', value: 'gelu' }, 'is gelu'],
    ['general.type', { kind: 'string', value: 'adapter' }, 'not a model by itself'],
    ['adapter.type', { kind: 'string', value: 'lora' }, 'an adapter'],
    ['tokenizer.ggml.suppress_tokens', { kind: 'numbers', value: Int32Array.of(3) }, 'is set'],
  ];
  for (const [key, value, said] of cases)
    assert.throws(() => check(key, value), starlingError('model_invalid', key, said));
  check('llama.rope.dimension_sections', { kind: 'numbers', value: Int32Array.of(0, 0, 0, 0) });
  check('tokenizer.ggml.suppress_tokens', { kind: 'numbers', value: new Int32Array(0) });
  check('llama.use_parallel_residual', { kind: 'number', value: 0 });
});

test('M5: a key of the architecture that nobody knows is told, others are not', () => {
  const notice = (...keys: string[]): string | null =>
    noticeOfKeys('m.gguf', new Metadata('m.gguf', new Map(keys.map((key) => [key, number(1)]))), rules);
  assert.equal(notice('llama.block_count', 'mradermacher.quantize_version', 'general.tags', 'qwen3.block_count'), null);
  assert.match(notice('llama.warp.factor') ?? '', /m\.gguf: llama\.warp\.factor is not known here/);
  assert.match(notice(...['a', 'b', 'c', 'd', 'e'].map((name) => `llama.${name}`)) ?? '', /llama\.c and 2 more/);
});

test('M5: a factor of attention scales what is rotated, and nothing else', () => {
  const rope = { width: 8, frequencies: Float64Array.of(1, 0.01), long: null, temperature: null };
  const [plain, scaled] = [1, 0.5].map((scale) => {
    const into = new Float32Array(8);
    new RopeTable({ ...rope, scale }, 64).fill(3, into);
    return [...into];
  }) as [number[], number[]];
  assert.deepEqual(
    scaled.slice(0, 4),
    plain.slice(0, 4).map((value) => value / 2),
  );
  assert.deepEqual(scaled.slice(4), [1, 0, 1, 0]);
  assert.deepEqual(plain.slice(4), [1, 0, 1, 0]);
});
