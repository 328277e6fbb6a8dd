import { dequantizeRow, readVector } from './dequantize.ts';
import type { GgufFile } from './gguf/reader.ts';
import type { ExpertsPhase, ModelPhase, ModelSpec, Vector } from './spec.ts';

/** The vectors of a phase's frame, of `dim` values each; null where the model has none. */
export interface PhaseVectors {
  readonly inputNorm: Float32Array | null;
  readonly outputNorm: Float32Array | null;
  readonly outputBias: Float32Array | null;
  /** Of a mixture of experts. */
  readonly router: RouterWeights | null;
}

/** What routes rows to networks. */
export interface RouterWeights {
  /** [experts][dim] */
  readonly weights: Float32Array;
  /** Of `experts`: added to the router's products, and to scores where networks are chosen. */
  readonly bias: Float32Array | null;
  readonly choiceBias: Float32Array | null;
  /** [dim]: says how much of the shared network there is. */
  readonly sharedGate: Float32Array | null;
  /** A vector of `dim` a network. */
  readonly downBiases: readonly Float32Array[] | null;
}

/** What is done around the products stays with the coordinator. */
export interface FrameVectors {
  readonly layers: readonly (readonly PhaseVectors[])[];
  /** The norm before the head. */
  readonly output: Float32Array;
}

/** @throws StarlingError those of reading */
export async function readFrameVectors(gguf: GgufFile, { layers, outputNorm }: ModelSpec): Promise<FrameVectors> {
  const vectors: PhaseVectors[][] = [];
  for (const phases of layers) {
    const of: PhaseVectors[] = [];
    for (const phase of phases) of.push(await readPhase(gguf, phase));
    vectors.push(of);
  }
  return { layers: vectors, output: await readVector(gguf, outputNorm.tensor) };
}

async function readPhase(gguf: GgufFile, phase: ModelPhase): Promise<PhaseVectors> {
  return {
    inputNorm: await optional(gguf, phase.inputNorm),
    outputNorm: await optional(gguf, phase.outputNorm),
    outputBias: await optional(gguf, phase.outputBias),
    router: phase.kind === 'experts' ? await readRouter(gguf, phase) : null,
  };
}

async function readRouter(gguf: GgufFile, { routing, shared, downBiases }: ExpertsPhase): Promise<RouterWeights> {
  const { tensor, rows, cols } = routing.router.weight;
  const source = new Uint8Array(tensor.byteLength);
  await gguf.read(tensor, 0, source.length, source);
  const weights = new Float32Array(rows * cols);
  dequantizeRow(tensor.type, source, rows * cols, weights);
  const biases: Float32Array[] = [];
  for (const vector of downBiases ?? []) biases.push(await part(gguf, vector));
  return {
    weights,
    bias: await optional(gguf, routing.router.bias),
    choiceBias: await optional(gguf, routing.choiceBias),
    sharedGate: await optional(gguf, shared?.routerGate ?? null),
    downBiases: downBiases === null ? null : biases,
  };
}

const optional = async (gguf: GgufFile, vector: Vector | null): Promise<Float32Array | null> =>
  vector === null ? null : part(gguf, vector);

async function part(gguf: GgufFile, { tensor, first, length }: Vector): Promise<Float32Array> {
  return (await readVector(gguf, tensor)).subarray(first, first + length);
}
