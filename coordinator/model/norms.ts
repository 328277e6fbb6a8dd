import { readVector } from './dequantize.ts';
import type { GgufFile } from './gguf/reader.ts';
import type { ModelSpec } from './spec.ts';

/** The weights of RMSNorm, of `dim` values each: they stay with the coordinator. */
export interface Norms {
  /** Of each layer's phases. */
  readonly layers: readonly (readonly Float32Array[])[];
  /** Before the head. */
  readonly output: Float32Array;
}

/** @throws StarlingError those of reading */
export async function readNorms(gguf: GgufFile, { layers, outputNorm }: ModelSpec): Promise<Norms> {
  const read: Float32Array[][] = [];
  for (const phases of layers) {
    const norms: Float32Array[] = [];
    for (const { inputNorm } of phases) norms.push(await readVector(gguf, inputNorm.tensor));
    read.push(norms);
  }
  return { layers: read, output: await readVector(gguf, outputNorm.tensor) };
}
