import type { WeightFormat } from '../../kernels/formats.ts';
import { type GgufMetadata, type GgufTensor, writeGguf } from '../gguf-writer.ts';
import { smallerBlocks } from '../quant-mix.ts';
import { type Fill, randomFloats, randomWeights } from '../random-weights.ts';
import { mix } from '../random-words.ts';
import { syntheticVocabulary } from '../synthetic-vocabulary.ts';
import { type ArchitectureShape, matrix, type Part } from './parts.ts';

/** A small model that has every feature of its architecture switched on. */
export interface ArchitectureModel {
  readonly name: string;
  /** general.architecture */
  readonly architecture: string;
  readonly shape: ArchitectureShape;
  /** Keys beside the sizes, without the architecture's name in front. */
  readonly keys: GgufMetadata;
  readonly layer: (index: number) => readonly Part[];
  /** Tensors outside of layers beside embedding, last norm and head. */
  readonly others?: readonly Part[];
  /** Keys and tensors that such files have and llama.cpp computes nothing with. */
  readonly unused?: readonly string[];
  /** Besides F16. */
  readonly type: QuantizedType;
}

/**
 * Q4_0 and Q4_K: with an F16 embedding and head, so that rounding their input does not decide between close tokens;
 * MXFP4: the experts, and Q8_0 for the rest.
 */
export type QuantizedType = 'Q4_0' | 'Q4_K' | 'MXFP4';
export type ArchitectureType = 'F16' | QuantizedType;

/** What describes a file wholly: metadata and tensors. */
export interface ModelContent {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
}

/** Standard deviation of the logits: the likeliest of 512 tokens then has a third to nine tenths of all. */
const LOGITS = 4.5;

/**
 * How much smaller is what blocks add to a residual of size one in files of 4-bit types: activations are rounded to 8
 * bits there, and the larger the blocks, the more a difference in an early layer has grown in the last one.
 */
const CALM = 0.07;

/** The same arguments give the same bytes. */
export function modelContent(model: ArchitectureModel, type: ArchitectureType, seed: number): ModelContent {
  const tensors = modelParts(model).map((part, i) => partTensor(part, type, mix(seed) ^ mix(i + 0x5eed)));
  return { metadata: modelMetadata(model), tensors };
}

export async function writeArchitectureModel(
  path: string,
  model: ArchitectureModel,
  type: ArchitectureType,
  seed: number,
): Promise<void> {
  await writeGguf(path, modelContent(model, type, seed));
}

function modelParts(model: ArchitectureModel): Part[] {
  const { dim, vocabSize, layers, tied, embeddingScale, logitGain } = model.shape;
  const embedding = 1 / embeddingScale;
  const rowLength = tied ? embedding * Math.sqrt(dim) : 1;
  return [
    matrix('token_embd', [dim, vocabSize], embedding * Math.sqrt(dim)),
    // Around zero: with a tied head, a row is then no likelier to be followed by its own token than by any other.
    {
      name: 'output_norm.weight',
      dims: [dim],
      values: { kind: 'floats', mean: 0, deviation: (LOGITS * logitGain) / rowLength },
    },
    ...(tied ? [] : [matrix('output', [dim, vocabSize])]),
    ...(model.others ?? []),
    ...Array.from({ length: layers }, (_, layer) =>
      model.layer(layer).map((part) => ({ ...part, name: `blk.${layer}.${part.name}` })),
    ).flat(),
  ];
}

function partTensor({ name, dims, values, adds = false }: Part, type: ArchitectureType, seed: number): GgufTensor {
  const size = adds && type !== 'F16' ? CALM : 1;
  switch (values.kind) {
    case 'matrix': {
      const format = smallerBlocks(formatOf(name, type), dims[0] ?? 0);
      return { name, type: format, dims, fill: randomWeights(format, seed, size * values.deviation) };
    }
    case 'floats':
      return { name, type: 'F32', dims, fill: randomFloats(seed, size * values.mean, size * values.deviation) };
    case 'given':
      return { name, type: 'F32', dims, fill: givenFloats(values.list) };
  }
}

export function givenFloats(list: Float32Array): Fill {
  const bytes = new Uint8Array(list.buffer, list.byteOffset, list.byteLength);
  return (into, offset) => into.set(bytes.subarray(offset, offset + into.length));
}

function formatOf(name: string, type: ArchitectureType): WeightFormat {
  if (type === 'MXFP4') return name.includes('_exps.') ? 'MXFP4' : 'Q8_0';
  if (type !== 'F16' && /^(token_embd|output)\./.test(name)) return 'F16';
  return type;
}

function modelMetadata({ architecture, shape, keys }: ArchitectureModel): GgufMetadata {
  const own: GgufMetadata = {
    block_count: { type: 'uint32', value: shape.layers },
    embedding_length: { type: 'uint32', value: shape.dim },
    feed_forward_length: { type: 'uint32', value: shape.ffDim },
    'attention.head_count': { type: 'uint32', value: shape.heads },
    'attention.head_count_kv': { type: 'uint32', value: shape.kvHeads },
    'attention.key_length': { type: 'uint32', value: shape.headDim },
    'attention.value_length': { type: 'uint32', value: shape.headDim },
    'attention.layer_norm_rms_epsilon': { type: 'float32', value: shape.rmsEps },
    context_length: { type: 'uint32', value: shape.contextLength },
    'rope.dimension_count': { type: 'uint32', value: shape.ropeDims },
    'rope.freq_base': { type: 'float32', value: shape.ropeBase },
    vocab_size: { type: 'uint32', value: shape.vocabSize },
    ...keys,
  };
  return {
    'general.architecture': { type: 'string', value: architecture },
    // Without the architecture's name, for which llama.cpp expects certain tokens.
    'general.name': { type: 'string', value: 'small model' },
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value])),
    ...syntheticVocabulary(shape.vocabSize),
  };
}
