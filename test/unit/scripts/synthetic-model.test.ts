import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dequantizeRow, readVector } from '../../../coordinator/model/dequantize.ts';
import { type GgufFile, openGguf } from '../../../coordinator/model/gguf/reader.ts';
import { readModelSpec } from '../../../coordinator/model/model-spec.ts';
import type { Matrix, Weight } from '../../../coordinator/model/spec.ts';
import { sourceBytes, WEIGHT_FORMATS, type WeightFormat } from '../../../kernels/formats.ts';
import { llama3RopeFactors, MODEL_SHAPES } from '../../../scripts/model-shapes.ts';
import { type SyntheticModelOptions, writeSyntheticModel } from '../../../scripts/synthetic-model.ts';
import { attentionOf, feedForwardOf } from '../../fixtures/model-phases.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const FORMATS = Object.keys(WEIGHT_FORMATS) as WeightFormat[];
const POWERS_OF_TWO = { F16: true, BF16: true, MXFP4: true };

describe('writeSyntheticModel', () => {
  // Wide enough for blocks of 256, which `tiny` is not.
  const wide = { ...MODEL_SHAPES.tiny, dim: 256, heads: 8, kvHeads: 2, headDim: 32, ffDim: 768 };

  for (const quant of FORMATS) {
    it(`writes a model of ${quant} whose weights keep activations near one`, async (context) => {
      const out = join(temporaryFolder(context), 'tiny.gguf');
      await withModel({ shape: wide, quant, out }, async (model) => {
        const spec = await readModelSpec(model);
        assert.equal(spec.layers.length, 2);
        const { gate, down, inputNorm } = feedForwardOf(spec);
        assert.equal(gate.weight.rows, 768);
        assert.equal(spec.head.tensor.name, 'output.weight');
        for (const weight of [spec.embedding, attentionOf(spec).q.weight.tensor, down.tensor, spec.head.tensor]) {
          assert.equal(weight.type, quant);
          const values = await allValues(model, weight);
          const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
          const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
          const wanted = 1 / Math.sqrt(weight.dims[0] ?? 1);
          // Exponents are powers of two; integers and their scales come near.
          const factor = weight.type in POWERS_OF_TWO ? 1.5 : 1.05;
          assert.ok(
            deviation > wanted / factor && deviation < wanted * factor,
            `${weight.name}: ${deviation} for ${wanted}`,
          );
          assert.ok(Math.abs(mean) < deviation / 20, `${weight.name}: mean ${mean}`);
        }
        const norm = await readVector(model, inputNorm!.tensor);
        assert.ok(norm.every((value) => value > 0.9 && value < 1.1));
        assert.ok(new Set(norm).size > 240);
      });
    });
  }

  const MIXED = {
    Q3_K_M: {
      base: 'Q3_K',
      output: 'Q4_K',
      values: ['Q5_K', 'Q5_K', ...repeat('Q4_K', 22)],
      downs: ['Q5_K', ...repeat('Q4_K', 23)],
    },
    Q4_K_M: { base: 'Q4_K', output: 'Q4_K', values: mostlyMore('Q4_K'), downs: mostlyMore('Q4_K') },
    Q5_K_M: { base: 'Q5_K', output: 'Q5_K', values: mostlyMore('Q5_K'), downs: mostlyMore('Q5_K') },
  } as const;
  for (const quant of ['Q3_K_M', 'Q4_K_M', 'Q5_K_M'] as const) {
    it(`gives the matrices of ${quant} the formats that llama.cpp gives them`, async (context) => {
      const out = join(temporaryFolder(context), 'mixed.gguf');
      const { base, output, values, downs } = MIXED[quant];
      await withModel({ shape: { ...wide, vocabSize: 400 }, quant, layers: 24, out }, async (model) => {
        const spec = await readModelSpec(model);
        const typesOf = (pick: (layer: number) => Matrix[]): string[] =>
          spec.layers.flatMap((_, layer) => pick(layer).map(({ tensor }) => tensor.type));
        assert.deepEqual([spec.embedding.type, spec.head.tensor.type], [base, 'Q6_K']);
        assert.deepEqual(
          typesOf((layer) => [attentionOf(spec, layer).v.weight]),
          values,
        );
        assert.deepEqual(
          typesOf((layer) => [feedForwardOf(spec, layer).down]),
          downs,
        );
        const others = typesOf((layer) => {
          const { q, k, o } = attentionOf(spec, layer);
          const { gate, up } = feedForwardOf(spec, layer);
          return [q.weight, k.weight, gate.weight, up.weight, o];
        });
        assert.deepEqual(others, repeat([base, base, base, base, output], 24).flat());
      });
      // A tied embedding is the head, too.
      await withModel({ shape: { ...wide, tied: true, vocabSize: 400 }, quant, out }, async (model) => {
        assert.equal((await readModelSpec(model)).embedding.type, 'Q6_K');
      });
    });
  }

  it('takes formats of smaller blocks where rows are no multiple of 256', async (context) => {
    const out = join(temporaryFolder(context), 'small.gguf');
    const small = {
      Q2_K: 'IQ4_NL',
      Q3_K: 'IQ4_NL',
      IQ4_XS: 'IQ4_NL',
      Q4_K: 'Q5_0',
      Q5_K: 'Q5_1',
      Q6_K: 'Q8_0',
    } as const;
    for (const quant of FORMATS.filter((format) => format in small) as (keyof typeof small)[]) {
      await withModel({ shape: 'tiny', quant, out }, async (model) => {
        assert.equal((await readModelSpec(model)).embedding.type, small[quant]);
      });
    }
  });

  it('writes no -128 into Q8_0, as no quantiser does', async (context) => {
    const out = join(temporaryFolder(context), 'tiny.gguf');
    await withModel({ shape: 'tiny', quant: 'Q8_0', out }, async (model) => {
      const { embedding } = await readModelSpec(model);
      const bytes = new Uint8Array(embedding.byteLength);
      await model.read(embedding, 0, bytes.length, bytes);
      const quants = bytes.filter((_, i) => i % 34 >= 2);
      assert.ok(!quants.includes(0x80));
      assert.ok(quants.includes(0x81) && quants.includes(0x7f));
    });
  });

  it('is repeatable, and differs by seed', async (context) => {
    const folder = temporaryFolder(context);
    const write = async (name: string, seed: number) => {
      const out = join(folder, name);
      await writeSyntheticModel({ shape: 'tiny', quant: 'Q4_0', out, seed, layers: 1 });
      return readFile(out);
    };
    const first = await write('a', 1);
    assert.ok(first.equals(await write('b', 1)));
    assert.ok(!first.equals(await write('c', 2)));
  });

  it('has a vocabulary of distinct tokens whose pieces can be reached by merging', async (context) => {
    const out = join(temporaryFolder(context), 'v.gguf');
    const shape = { ...MODEL_SHAPES.tiny, dim: 32, heads: 2, kvHeads: 1, ffDim: 32, vocabSize: 40_000 };
    await withModel({ shape, quant: 'Q4_0', layers: 1, out }, async ({ metadata }) => {
      const tokens = metadata.strings('tokenizer.ggml.tokens');
      const scores = metadata.numbers('tokenizer.ggml.scores');
      const types = metadata.numbers('tokenizer.ggml.token_type');
      assert.deepEqual([tokens.length, scores.length, types.length], [40_000, 40_000, 40_000]);
      const known = new Map(tokens.map((token, id) => [token, id]));
      assert.equal(known.size, tokens.length);
      assert.deepEqual(tokens.slice(0, 4), ['<unk>', '<s>', '</s>', '<0x00>']);
      assert.deepEqual([...types.subarray(0, 4)], [2, 3, 3, 6]);
      assert.equal(tokens[258], '<0xFF>');
      for (let id = 259; id < tokens.length; id++) {
        const piece = tokens[id] ?? '';
        assert.equal(types[id], 1);
        if (piece.length === 1) continue;
        const parts = [known.get(piece.slice(0, -1)), known.get(piece.slice(1))];
        assert.ok(
          parts.some((part) => part !== undefined && part < id && (scores[part] ?? 0) > (scores[id] ?? 0)),
          `${piece} has no shorter part`,
        );
      }
      assert.equal(metadata.string('tokenizer.ggml.model'), 'llama');
    });
  });

  it("writes Llama 3's shape: tied head and rope factors", async (context) => {
    const out = join(temporaryFolder(context), 'l3.gguf');
    const shape = { ...MODEL_SHAPES['llama-3.2-1b'], dim: 64, heads: 2, kvHeads: 1, ffDim: 64, vocabSize: 400 };
    await withModel({ shape, quant: 'Q8_0', layers: 1, out }, async (model) => {
      const spec = await readModelSpec(model);
      assert.equal(spec.head.tensor.name, spec.embedding.name);
      const factors = llama3RopeFactors(64, 5e5, 32);
      assert.deepEqual([factors[0], factors[31]], [1, 32]);
      const frequencies = Float64Array.from(factors, (factor, i) => 5e5 ** ((-2 * i) / 64) / factor);
      assert.deepEqual(spec.ropes, [{ width: 64, frequencies, scale: 1, long: null, temperature: null }]);
    });
  });

  it('writes a split model', async (context) => {
    const out = join(temporaryFolder(context), 's.gguf');
    await writeSyntheticModel({ shape: 'tiny', quant: 'F16', parts: 3, out });
    const model = await openGguf(out.replace('.gguf', '-00002-of-00003.gguf'));
    try {
      assert.equal(model.parts.length, 3);
      await readModelSpec(model);
    } finally {
      await model.close();
    }
  });

  it('runs as a program', async (context) => {
    const out = join(temporaryFolder(context), 'p.gguf');
    const program = fileURLToPath(new URL('../../../scripts/synthetic-model.js', import.meta.url));
    const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
    const good = run('--shape', 'tiny', '--quant', 'F32', '--layers', '1', '--out', out);
    assert.equal(good.status, 0, good.stderr);
    const model = await openGguf(out);
    await model.close();
    assert.equal(model.metadata.number('llama.block_count'), 1);
    assert.notEqual(run('--shape', 'huge', '--out', out).status, 0);
    assert.equal(run('--shape', 'tiny', '--quant', 'Q4_K_M', '--out', out).status, 0);
    assert.notEqual(run('--shape', 'tiny', '--quant', 'Q4_K_X', '--out', out).status, 0);
    assert.notEqual(run('--shape', 'tiny', '--layers', '0', '--out', out).status, 0);
  });
});

function repeat<T>(value: T, times: number): T[] {
  return new Array<T>(times).fill(value);
}

/** Of 24 layers the first and last three have Q6_K, and of those between them the third, sixth, and so on. */
function mostlyMore(base: string): string[] {
  const more = [0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23];
  return Array.from({ length: 24 }, (_, layer) => (more.includes(layer) ? 'Q6_K' : base));
}

async function withModel(options: SyntheticModelOptions, use: (model: GgufFile) => Promise<void>): Promise<void> {
  await writeSyntheticModel(options);
  const model = await openGguf(options.out);
  try {
    await use(model);
  } finally {
    await model.close();
  }
}

async function allValues(model: GgufFile, weight: Weight): Promise<Float32Array> {
  const [cols = 0, rows = 0] = weight.dims;
  const rowBytes = sourceBytes(weight.type, cols);
  const bytes = new Uint8Array(rowBytes * rows);
  await model.read(weight, 0, bytes.length, bytes);
  const values = new Float32Array(cols * rows);
  for (let row = 0; row < rows; row++) {
    dequantizeRow(weight.type, bytes.subarray(row * rowBytes), cols, values.subarray(row * cols));
  }
  return values;
}
