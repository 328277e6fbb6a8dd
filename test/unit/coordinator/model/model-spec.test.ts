import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openGguf } from '../../../../coordinator/model/gguf/reader.ts';
import { readModelSpec } from '../../../../coordinator/model/model-spec.ts';
import type { ModelSpec } from '../../../../coordinator/model/spec.ts';
import { WEIGHT_FORMATS, type WeightFormat } from '../../../../kernels/formats.ts';
import { type GgufMetadata, type GgufTensor, type GgufValue, writeGguf } from '../../../../scripts/gguf-writer.ts';
import { MINIMAL_METADATA, minimalTensors, patternTensor, starlingError } from '../../../fixtures/gguf.ts';
import { attentionOf, feedForwardOf, sizesOf } from '../../../fixtures/model-phases.ts';
import { sharedData } from '../../../fixtures/shared-data.ts';

const u32 = (value: number): GgufValue => ({ type: 'uint32', value });
const f32 = (value: number): GgufValue => ({ type: 'float32', value });
const string = (value: string): GgufValue => ({ type: 'string', value });

/** A fill that repeats one f32. */
const constant = (name: string, dims: readonly number[], value: number): GgufTensor => ({
  name,
  type: 'F32',
  dims,
  fill: (into) => new Float32Array(into.buffer, into.byteOffset, into.length / 4).fill(value),
});

const NOTHING_MORE = { long: null, temperature: null };

const frequencies = (dims: number, base: number): Float64Array =>
  Float64Array.from({ length: dims / 2 }, (_, i) => base ** ((-2 * i) / dims));

describe('readModelSpec', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-spec-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** The spec of the minimal model after changing metadata (null removes a key) and tensors. */
  async function specOf(
    changes: Readonly<Record<string, GgufValue | null>> = {},
    tensors: readonly GgufTensor[] = minimalTensors(),
  ): Promise<ModelSpec> {
    const metadata: Record<string, GgufValue> = { ...MINIMAL_METADATA };
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) delete metadata[key];
      else metadata[key] = value;
    }
    const path = join(folder, 'model.gguf');
    await writeGguf(path, { metadata: metadata satisfies GgufMetadata, tensors });
    return specAt(path);
  }

  it('reads hyperparameters, defaults and tensors', async () => {
    const spec = await specOf();
    const { embedding, outputNorm, head, layers, ...rest } = spec;
    assert.deepEqual(rest, {
      architecture: 'llama',
      name: 'minimal',
      dim: 32,
      vocabSize: 3,
      contextLength: 64,
      rmsEps: 0.5,
      ...{ embeddingScale: 1, logitScale: 1, logitCap: 0 },
      ropes: [{ width: 16, frequencies: frequencies(16, 10_000), scale: 1, ...NOTHING_MORE }],
    });
    assert.equal(head.tensor.name, embedding.name);
    assert.equal(outputNorm.tensor.name, 'output_norm.weight');
    assert.deepEqual(sizesOf(spec), [1, 32, 2, 1, 16, 32, 3]);
    assert.deepEqual(
      layers.map((phases) => phases.map(({ kind }) => kind)),
      [['attention', 'ffn']],
    );
    const { q, k, v, o, scale, ...attention } = attentionOf(spec);
    const { gate, up, down, ...feedForward } = feedForwardOf(spec);
    const products = [...[q, k, v].map(({ weight }) => weight), o, gate.weight, up.weight, down];
    assert.equal(scale, 1 / 4);
    assert.deepEqual(
      [attention.inputNorm, feedForward.inputNorm, ...products].map((each) => each?.tensor.name),
      ['attn_norm', 'ffn_norm', 'attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'].map(
        (part) => `blk.0.${part}.weight`,
      ),
    );
  });

  it('M10: takes sizes that are stated once a layer, where layers are alike', async () => {
    const array = (value: number[]): GgufValue => ({ type: 'array', of: 'int32', value });
    const keys = ['llama.attention.head_count', 'llama.attention.head_count_kv', 'llama.feed_forward_length'] as const;
    const spec = await specOf({
      [keys[0]]: array([2]),
      [keys[1]]: array([1]),
      [keys[2]]: array([32]),
    });
    assert.deepEqual(sizesOf(spec), [1, 32, 2, 1, 16, 32, 3]);
    for (const key of keys) {
      const different = { 'llama.block_count': u32(2), [key]: array([1, 2]) };
      await assert.rejects(specOf(different), starlingError('model_unsupported_architecture', key, 'layer 1'));
      await assert.rejects(
        specOf({ [key]: array([1, 1]) }),
        starlingError('model_invalid', key, '2 entries for 1 layers'),
      );
      await assert.rejects(specOf({ [key]: array([0]) }), starlingError('model_invalid', key, 'is 0'));
    }
  });

  it('M17: a name that cannot be read is not needed', async () => {
    assert.equal((await specOf({ 'general.name': u32(7) })).name, 'model');
  });

  it('takes every format that is computed', async () => {
    for (const format of ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0']) {
      const spec = await specOf({}, minimalTensors(format));
      assert.equal(spec.embedding.type, format);
      assert.equal(feedForwardOf(spec).down.tensor.type, format);
    }
  });

  it('takes a head of its own, and as many key/value heads as query heads by default', async () => {
    const tensors = [
      ...minimalTensors().filter((tensor) => !/attn_[kv]\./.test(tensor.name)),
      patternTensor('blk.0.attn_k.weight', 'F32', [32, 32]),
      patternTensor('blk.0.attn_v.weight', 'F32', [32, 32]),
      patternTensor('output.weight', 'F16', [32, 3]),
    ];
    const spec = await specOf({ 'llama.attention.head_count_kv': null }, tensors);
    assert.equal(attentionOf(spec).kvHeads, 2);
    assert.equal(spec.head.tensor.name, 'output.weight');
    assert.equal(spec.head.tensor.type, 'F16');
  });

  it('takes a head size that is not dim / heads', async () => {
    const tensors = [
      ...minimalTensors().filter((tensor) => !/attn_(q|output|k|v)\./.test(tensor.name)),
      patternTensor('blk.0.attn_q.weight', 'F32', [32, 48]),
      patternTensor('blk.0.attn_k.weight', 'F32', [32, 24]),
      patternTensor('blk.0.attn_v.weight', 'F32', [32, 24]),
      patternTensor('blk.0.attn_output.weight', 'F32', [48, 32]),
    ];
    const spec = await specOf(
      { 'llama.attention.key_length': u32(24), 'llama.attention.value_length': u32(24) },
      tensors,
    );
    assert.equal(attentionOf(spec).headDim, 24);
    assert.deepEqual(
      spec.ropes.map((rope) => [rope.width, rope.frequencies.length]),
      [[24, 12]],
    );
  });

  it('M5: reads rope: linear scaling, with its type or without, part of a head, factors', async () => {
    const linear = await specOf({
      'llama.rope.scaling.type': string('linear'),
      'llama.rope.scaling.factor': f32(4),
      'llama.rope.freq_base': f32(5e5),
      'llama.rope.dimension_count': u32(8),
    });
    const scaled = (dims: number, base: number, factor: number): Float64Array =>
      frequencies(dims, base).map((frequency) => frequency / factor);
    assert.deepEqual(linear.ropes, [{ width: 16, frequencies: scaled(8, 5e5, 4), scale: 1, ...NOTHING_MORE }]);
    const legacy = await specOf({ 'llama.rope.scale_linear': f32(2) });
    assert.deepEqual(legacy.ropes[0]!.frequencies, scaled(16, 10_000, 2));
    const untyped = await specOf({ 'llama.rope.scaling.factor': f32(4), 'llama.rope.scaling.attn_factor': f32(0.5) });
    assert.deepEqual(untyped.ropes, [{ width: 16, frequencies: scaled(16, 10_000, 4), scale: 0.5, ...NOTHING_MORE }]);
    const none = await specOf({
      'llama.rope.scaling.factor': f32(0),
      'llama.rope.scale_linear': f32(2),
      'llama.rope.scaling.attn_factor': f32(1),
    });
    assert.deepEqual(none.ropes, [{ width: 16, frequencies: frequencies(16, 10_000), scale: 1, ...NOTHING_MORE }]);
    const off = await specOf({ 'llama.rope.scaling.type': string('none'), 'llama.rope.scaling.factor': f32(4) });
    assert.deepEqual(off.ropes[0]!.frequencies, frequencies(16, 10_000));
    const factors = await specOf({ 'llama.rope.scaling.type': string('none') }, [
      ...minimalTensors(),
      constant('rope_freqs.weight', [8], 32),
    ]);
    assert.deepEqual(factors.ropes[0]!.frequencies, scaled(16, 10_000, 32));
  });

  it('ignores rotation tables of old conversions', async () => {
    await specOf({}, [...minimalTensors(), patternTensor('blk.0.attn_rot_embd', 'F32', [8])]);
  });

  const metadataErrors: readonly [name: string, key: string, value: GgufValue | null, code: string, text: string][] = [
    ['another architecture', 'general.architecture', string('mamba'), 'model_unsupported_architecture', 'mamba'],
    ['no architecture', 'general.architecture', null, 'model_invalid', 'missing'],
    ['a mixture of too many', 'llama.expert_count', u32(2000), 'model_invalid', 'is 2000'],
    ['no layers', 'llama.block_count', u32(0), 'model_invalid', 'is 0'],
    ['too many layers', 'llama.block_count', u32(1025), 'model_invalid', 'is 1025'],
    ['a fraction of layers', 'llama.block_count', f32(1.5), 'model_invalid', 'is 1.5'],
    ['layers as text', 'llama.block_count', string('1'), 'model_invalid', 'is a string'],
    ['a small dim', 'llama.embedding_length', u32(4), 'model_invalid', 'is 4'],
    ['a large dim', 'llama.embedding_length', u32(65_537), 'model_invalid', 'is 65537'],
    ['no heads', 'llama.attention.head_count', u32(0), 'model_invalid', 'is 0'],
    ['heads that do not divide dim', 'llama.attention.head_count', u32(3), 'model_invalid', 'is 10.66'],
    ['more key/value heads', 'llama.attention.head_count_kv', u32(3), 'model_invalid', 'is 3'],
    ['a head size of 12', 'llama.attention.key_length', u32(12), 'model_invalid', 'multiple of 8'],
    ['a head size of 520', 'llama.attention.key_length', u32(520), 'model_invalid', 'multiple of 8'],
    ['another value length', 'llama.attention.value_length', u32(8), 'model_invalid', 'only equal'],
    ['no feed-forward', 'llama.feed_forward_length', null, 'model_invalid', 'missing'],
    ['no context', 'llama.context_length', u32(0), 'model_invalid', 'is 0'],
    ['an epsilon of 0', 'llama.attention.layer_norm_rms_epsilon', f32(0), 'model_invalid', 'is 0'],
    ['an epsilon that is no number', 'llama.attention.layer_norm_rms_epsilon', f32(Number.NaN), 'model_invalid', 'NaN'],
    ['ntk', 'llama.rope.scaling.type', string('ntk'), 'model_invalid', 'supported: none, linear, yarn, longrope'],
    ['an odd rotation', 'llama.rope.dimension_count', u32(7), 'model_invalid', 'even'],
    ['too wide a rotation', 'llama.rope.dimension_count', u32(18), 'model_invalid', 'is 18'],
    ['a base of 0', 'llama.rope.freq_base', f32(0), 'model_invalid', 'positive'],
    ['an infinite base', 'llama.rope.freq_base', f32(Infinity), 'model_invalid', 'Infinity'],
    ['no causal mask', 'llama.attention.causal', { type: 'bool', value: false }, 'model_invalid', 'is false'],
    ['another attention scale', 'llama.attention.scale', f32(0.5), 'model_invalid', 'is 0.5'],
    [
      'another vocabulary',
      'tokenizer.ggml.tokens',
      { type: 'array', of: 'string', value: ['a'] },
      'model_invalid',
      '1 tokens',
    ],
  ];
  for (const [name, key, value, code, text] of metadataErrors) {
    it(`refuses ${name}`, async () => {
      await assert.rejects(
        specOf({ [key]: value }),
        starlingError(code, 'model.gguf', key.split('.').at(-1) ?? '', text),
      );
    });
  }

  it('refuses heads that key/value heads do not divide', async () => {
    const changes = { 'llama.attention.head_count': u32(4), 'llama.attention.head_count_kv': u32(3) };
    await assert.rejects(specOf(changes), starlingError('model_invalid', 'head_count_kv', 'divide'));
  });

  const replaced = (name: string, ...tensors: readonly GgufTensor[]) => [
    ...minimalTensors().filter((tensor) => tensor.name !== name),
    ...tensors,
  ];
  for (const { name } of minimalTensors()) {
    it(`refuses a model without ${name}, or with another shape of it`, async () => {
      await assert.rejects(specOf({}, replaced(name)), starlingError('model_invalid', name, 'missing'));
      const other = patternTensor(name, 'F32', [64, 5]);
      await assert.rejects(specOf({}, replaced(name, other)), starlingError('model_invalid', name, '[64, 5]'));
    });
  }

  it('refuses weights of a type that is not computed, and norms that are not F32', async () => {
    const name = 'blk.0.ffn_up.weight';
    const q8 = replaced(name, patternTensor(name, 'Q8_1', [32, 32]));
    await assert.rejects(
      specOf({}, q8),
      starlingError('model_unsupported_tensor_type', name, 'Q8_1', Object.keys(WEIGHT_FORMATS).join(', ')),
    );
    const norm = 'blk.0.attn_norm.weight';
    const f16 = replaced(norm, patternTensor(norm, 'F16', [32]));
    await assert.rejects(specOf({}, f16), starlingError('model_invalid', norm, 'F16', 'F32'));
  });

  it('refuses tensors that it would not use', async () => {
    for (const name of ['blk.0.attn_q.bias', 'blk.1.attn_norm.weight', 'blk.0.attn_q_norm.weight', 'cls.weight']) {
      const tensors = [...minimalTensors(), patternTensor(name, 'F32', [32])];
      await assert.rejects(specOf({}, tensors), starlingError('model_invalid', name, 'not supported'));
    }
  });

  it('refuses rope factors that are not positive numbers', async () => {
    for (const bad of [0, -1, Number.NaN, Infinity]) {
      const tensors = [...minimalTensors(), constant('rope_freqs.weight', [8], bad)];
      await assert.rejects(specOf({}, tensors), starlingError('model_invalid', 'rope_freqs.weight'));
    }
    const short = [...minimalTensors(), constant('rope_freqs.weight', [4], 1)];
    await assert.rejects(specOf({}, short), starlingError('model_invalid', 'rope_freqs.weight', '[4]', '[8]'));
  });
});

describe('readModelSpec on real files', () => {
  const skip = (path: string | null) => ({ skip: path === null && 'shared data is not here' });

  const stories = sharedData('models/stories260K.gguf');
  it('reads stories260K', skip(stories), async () => {
    if (stories === null) return;
    const spec = await specAt(stories);
    assert.deepEqual(sizesOf(spec), [5, 64, 8, 4, 8, 172, 512]);
    assert.equal(spec.rmsEps, Math.fround(1e-5));
  });

  // The types of the embedding, which is the head, and of the last layer's ffn_down.
  const files: Readonly<Record<string, readonly [WeightFormat, WeightFormat]>> = {
    f32: ['F32', 'F32'],
    f16: ['F16', 'F16'],
    bf16: ['BF16', 'BF16'],
    q8_0: ['Q8_0', 'Q8_0'],
    q6_k: ['Q6_K', 'Q6_K'],
    q5_k_m: ['Q6_K', 'Q6_K'],
    q5_1: ['Q6_K', 'Q5_1'],
    q5_0: ['Q6_K', 'Q5_0'],
    q4_k_m: ['Q6_K', 'Q6_K'],
    q4_1: ['Q6_K', 'Q4_1'],
    q4_0: ['Q6_K', 'Q4_0'],
    iq4_nl: ['Q6_K', 'IQ4_NL'],
    iq4_xs: ['Q6_K', 'IQ4_XS'],
    q3_k_m: ['Q6_K', 'Q4_K'],
    q2_k: ['Q6_K', 'Q3_K'],
  };
  for (const [quant, types] of Object.entries(files)) {
    const path = sharedData(`models/tiny-chat-${quant}.gguf`);
    it(`reads tiny-chat-${quant}`, skip(path), async () => {
      if (path === null) return;
      const spec = await specAt(path);
      assert.deepEqual(sizesOf(spec), [4, 256, 8, 4, 32, 768, 640]);
      assert.equal(spec.head.tensor.name, spec.embedding.name);
      assert.deepEqual([spec.embedding.type, feedForwardOf(spec, 3).down.tensor.type], types);
    });
  }

  const bpe = sharedData('tokenizers/llama-spm.gguf');
  it('says that a vocabulary is no model', skip(bpe), async () => {
    if (bpe === null) return;
    await assert.rejects(specAt(bpe), starlingError('model_invalid', 'token_embd.weight', 'missing'));
  });
});

async function specAt(path: string): Promise<ModelSpec> {
  const model = await openGguf(path);
  try {
    return await readModelSpec(model);
  } finally {
    await model.close();
  }
}
