import { readVector } from './dequantize.ts';
import type { GgufFile } from './gguf/reader.ts';
import { shown } from './gguf/shown.ts';
import { invalid, readInteger } from './hyperparameters.ts';
import type { RopeSpec } from './spec.ts';
import type { TensorCatalog } from './tensor-catalog.ts';

const FACTORS = 'rope_freqs.weight';

/**
 * How the model turns positions into rotations: plain, linearly scaled, or with a factor for each frequency (Llama 3).
 * @throws StarlingError model_invalid (another scaling, values out of bounds), and those of reading
 */
export async function readRope(gguf: GgufFile, tensors: TensorCatalog, headDim: number): Promise<RopeSpec> {
  const dims = readInteger(gguf, 'llama.rope.dimension_count', 2, headDim, headDim);
  if (dims % 2 !== 0) throw invalid(gguf, 'llama.rope.dimension_count', `is ${dims}; it must be even`);
  const base = readPositive(gguf, 'llama.rope.freq_base', 10_000);
  const factors = tensors.has(FACTORS) ? await readVector(gguf, tensors.vector(FACTORS, dims / 2)) : null;
  if (factors !== null && !factors.every((factor) => factor > 0)) {
    throw invalid(gguf, FACTORS, '(a tensor) holds factors that are not positive; the file is damaged');
  }
  const scale = readPositive(gguf, 'llama.rope.scaling.attn_factor', 1);
  return { dims, base, linearFactor: readLinearFactor(gguf), factors, scale };
}

function readLinearFactor(gguf: GgufFile): number {
  const key = 'llama.rope.scaling.type';
  // llama.cpp's default: before scaling had types, files named a linear factor alone. A factor of 0 is none.
  const type = gguf.metadata.string(key, 'linear');
  if (type === 'none') return 1;
  if (type === 'linear') {
    const given = ['llama.rope.scaling.factor', 'llama.rope.scale_linear'].find((name) => gguf.metadata.has(name));
    return given === undefined || gguf.metadata.number(given) === 0 ? 1 : readPositive(gguf, given, 1);
  }
  throw invalid(
    gguf,
    key,
    `is ${shown(type)}, which is not supported yet; supported: none, linear, and Llama 3's ${FACTORS}`,
  );
}

function readPositive(gguf: GgufFile, key: string, fallback: number): number {
  const value = gguf.metadata.number(key, fallback);
  if (!(value > 0 && value <= 1e12)) throw invalid(gguf, key, `is ${value}; a positive number is expected`);
  return value;
}
