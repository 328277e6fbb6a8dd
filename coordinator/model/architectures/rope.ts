import { readVector } from '../dequantize.ts';
import type { ModelSource } from '../model-source.ts';
import type { RopeSpec } from '../spec.ts';

const FACTORS = 'rope_freqs.weight';

/**
 * How the model turns positions into rotations: pair i by position · base^(−2i/dims), plain, linearly scaled, or with a factor for
 * each frequency (Llama 3).
 * @throws StarlingError model_invalid (another scaling, values out of bounds), and those of reading
 */
export async function readRope(source: ModelSource, headDim: number): Promise<RopeSpec> {
  const { gguf, tensors } = source;
  const dims = source.integer('rope.dimension_count', 2, headDim, headDim);
  if (dims % 2 !== 0) throw source.invalid('rope.dimension_count', `is ${dims}; it must be even`);
  const base = source.positive('rope.freq_base', 10_000);
  const factors = tensors.has(FACTORS) ? await readVector(gguf, tensors.vector(FACTORS, dims / 2)) : null;
  if (factors !== null && !factors.every((factor) => factor > 0)) {
    throw source.invalid(FACTORS, '(a tensor) holds factors that are not positive; the file is damaged');
  }
  const linear = readLinearFactor(source);
  return {
    width: headDim,
    frequencies: Float64Array.from(
      { length: dims / 2 },
      (_, i) => base ** ((-2 * i) / dims) / linear / (factors?.[i] ?? 1),
    ),
    scale: source.positive('rope.scaling.attn_factor', 1),
  };
}

function readLinearFactor(source: ModelSource): number {
  // llama.cpp's default: before scaling had types, files named a linear factor alone. A factor of 0 is none.
  const type = source.string('rope.scaling.type', 'linear');
  if (type === 'none') return 1;
  if (type === 'linear') {
    const given = ['rope.scaling.factor', 'rope.scale_linear'].find((name) => source.has(name));
    return given === undefined || source.number(given) === 0 ? 1 : source.positive(given, 1);
  }
  throw source.invalid(
    'rope.scaling.type',
    `is ${source.shown('rope.scaling.type')}, which is not supported yet; supported: none, linear, and Llama 3's ${FACTORS}`,
  );
}
