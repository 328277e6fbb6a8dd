// Writes a model file of a real model's shape with random weights, for benchmarks and tests:
// node dist/scripts/synthetic-model.js --shape llama-3.1-8b --quant Q4_0 --layers 4 --out model.gguf
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type GgufMetadata, type GgufTensor, tensorBytes, writeGguf } from './gguf-writer.ts';
import { llama3RopeFactors, MODEL_SHAPES, type ModelShape, type ModelShapeName } from './model-shapes.ts';
import { type MatrixRole, matrixFormat, QUANTS, type Quant } from './quant-mix.ts';
import { randomFloats, randomWeights } from './random-weights.ts';
import { mix } from './random-words.ts';
import { syntheticVocabulary } from './synthetic-vocabulary.ts';

export interface SyntheticModelOptions {
  readonly shape: ModelShapeName | ModelShape;
  /** Columns that are no multiple of 256 get a format of smaller blocks, as in llama.cpp. */
  readonly quant: Quant;
  readonly out: string;
  /** Default 1. */
  readonly seed?: number;
  /** Instead of the shape's own. */
  readonly layers?: number;
  /** Files of a split model; default 1. */
  readonly parts?: number;
  /**
   * Leaves the matrices that are cut into tiles out of the file: holes that take no space. For tiles written straight
   * to stores.
   */
  readonly hollow?: boolean;
}

/** Writes a llama model with random weights; the same options give the same bytes. */
export async function writeSyntheticModel(options: SyntheticModelOptions): Promise<void> {
  const { out, parts = 1 } = options;
  const { metadata, tensors } = describe(options);
  await writeGguf(out, { metadata, tensors, parts });
}

function describe(options: SyntheticModelOptions): { metadata: GgufMetadata; tensors: GgufTensor[] } {
  const named: ModelShape = typeof options.shape === 'string' ? MODEL_SHAPES[options.shape] : options.shape;
  const shape: ModelShape = options.layers === undefined ? named : { ...named, layers: options.layers };
  const name = typeof options.shape === 'string' ? options.shape : 'custom';
  return {
    metadata: { ...shapeMetadata(`synthetic-${name}`, shape), ...syntheticVocabulary(shape.vocabSize) },
    tensors: shapeTensors(shape, options.quant, options.seed ?? 1, options.hollow ?? false),
  };
}

function shapeMetadata(name: string, shape: ModelShape): GgufMetadata {
  return {
    'general.architecture': { type: 'string', value: 'llama' },
    'general.name': { type: 'string', value: name },
    'llama.block_count': { type: 'uint32', value: shape.layers },
    'llama.embedding_length': { type: 'uint32', value: shape.dim },
    'llama.feed_forward_length': { type: 'uint32', value: shape.ffDim },
    'llama.attention.head_count': { type: 'uint32', value: shape.heads },
    'llama.attention.head_count_kv': { type: 'uint32', value: shape.kvHeads },
    'llama.attention.key_length': { type: 'uint32', value: shape.headDim },
    'llama.attention.value_length': { type: 'uint32', value: shape.headDim },
    'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: shape.rmsEps },
    'llama.context_length': { type: 'uint32', value: shape.contextLength },
    'llama.rope.dimension_count': { type: 'uint32', value: shape.headDim },
    'llama.rope.freq_base': { type: 'float32', value: shape.ropeBase },
    'llama.vocab_size': { type: 'uint32', value: shape.vocabSize },
  };
}

function shapeTensors(shape: ModelShape, quant: Quant, seed: number, hollow: boolean): GgufTensor[] {
  const tensors: GgufTensor[] = [];
  const nextSeed = () => mix(seed) ^ mix(tensors.length + 0x5eed);
  // Unit rows times 1/sqrt(columns) keep activations of size one through every matrix.
  const matrix = (role: MatrixRole, rows: number, cols: number, layer?: number) => {
    const { layers, tied } = shape;
    const type = matrixFormat(quant, { role, layer: layer ?? 0, layers, cols, tied });
    tensors.push({
      name: layer === undefined ? `${role}.weight` : `blk.${layer}.${role}.weight`,
      type,
      dims: [cols, rows],
      fill: randomWeights(type, nextSeed(), 1 / Math.sqrt(cols)),
      hole: hollow && role !== 'token_embd',
    });
  };
  const norm = (name: string) =>
    tensors.push({ name, type: 'F32', dims: [shape.dim], fill: randomFloats(nextSeed(), 1, 0.05) });

  const qRows = shape.heads * shape.headDim;
  const kvRows = shape.kvHeads * shape.headDim;
  matrix('token_embd', shape.vocabSize, shape.dim);
  for (let layer = 0; layer < shape.layers; layer++) {
    norm(`blk.${layer}.attn_norm.weight`);
    matrix('attn_q', qRows, shape.dim, layer);
    matrix('attn_k', kvRows, shape.dim, layer);
    matrix('attn_v', kvRows, shape.dim, layer);
    matrix('attn_output', shape.dim, qRows, layer);
    norm(`blk.${layer}.ffn_norm.weight`);
    matrix('ffn_gate', shape.ffDim, shape.dim, layer);
    matrix('ffn_up', shape.ffDim, shape.dim, layer);
    matrix('ffn_down', shape.dim, shape.ffDim, layer);
  }
  norm('output_norm.weight');
  if (!shape.tied) matrix('output', shape.vocabSize, shape.dim);
  if (shape.ropeFactor !== null) {
    const factors = new Uint8Array(llama3RopeFactors(shape.headDim, shape.ropeBase, shape.ropeFactor).buffer);
    tensors.push({
      name: 'rope_freqs.weight',
      type: 'F32',
      dims: [shape.headDim / 2],
      fill: (into, offset) => into.set(factors.subarray(offset, offset + into.length)),
    });
  }
  return tensors;
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a positive integer is expected');
  return value;
}

/** Shapes that it writes: of mixtures, the benches write their own. */
const DENSE = Object.entries(MODEL_SHAPES).flatMap(([name, shape]) => ('experts' in shape ? [] : [name]));

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('synthetic-model')
    .description('Write a llama model file with random weights.')
    .addOption(new Option('--shape <name>', 'shape of').choices(DENSE).makeOptionMandatory())
    .addOption(new Option('--quant <type>', 'type of the matrices').choices(QUANTS).default('Q4_0'))
    .requiredOption('--out <file>', 'file to write')
    .option('--seed <n>', 'seed of the weights', positiveInteger, 1)
    .option('--layers <n>', "number of layers instead of the shape's own", positiveInteger)
    .option('--parts <n>', 'files of a split model', positiveInteger, 1)
    .parse(args);
  const options = command.opts<SyntheticModelOptions>();
  const start = performance.now();
  await writeSyntheticModel(options);
  const bytes = describe(options).tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const seconds = (performance.now() - start) / 1000;
  process.stderr.write(
    `${options.out}: ${(bytes / 1e6).toFixed(1)} MB of weights in ${seconds.toFixed(1)} s (${(bytes / 1e6 / seconds).toFixed(0)} MB/s)\n`,
  );
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
