import { readVector } from './dequantize.ts';
import type { GgufFile } from './gguf/reader.ts';
import type { ModelSpec, Vector } from './spec.ts';

/** The vectors of a phase's frame, of `dim` values each; null where the model has none. */
export interface PhaseVectors {
  readonly inputNorm: Float32Array | null;
  readonly outputNorm: Float32Array | null;
  readonly outputBias: Float32Array | null;
}

/** What is done around the products stays with the coordinator. */
export interface FrameVectors {
  readonly layers: readonly (readonly PhaseVectors[])[];
  /** The norm before the head. */
  readonly output: Float32Array;
}

/** @throws StarlingError those of reading */
export async function readFrameVectors(gguf: GgufFile, { layers, outputNorm }: ModelSpec): Promise<FrameVectors> {
  const read = async (vector: Vector | null): Promise<Float32Array | null> =>
    vector === null ? null : readVector(gguf, vector.tensor);
  const vectors: PhaseVectors[][] = [];
  for (const phases of layers) {
    const of: PhaseVectors[] = [];
    for (const { inputNorm, outputNorm, outputBias } of phases) {
      of.push({
        inputNorm: await read(inputNorm),
        outputNorm: await read(outputNorm),
        outputBias: await read(outputBias),
      });
    }
    vectors.push(of);
  }
  return { layers: vectors, output: await readVector(gguf, outputNorm.tensor) };
}
