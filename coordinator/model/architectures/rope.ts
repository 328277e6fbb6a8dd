import { readVector } from '../dequantize.ts';
import type { ModelSource } from '../model-source.ts';
import type { RopeSpec } from '../spec.ts';

/** Tensors of a factor for each frequency: of every length (Llama 3), or of short and of long ones (longrope). */
const FACTORS = 'rope_freqs.weight';
const SHORT_FACTORS = 'rope_factors_short.weight';
const LONG_FACTORS = 'rope_factors_long.weight';

const SCALINGS = ['none', 'linear', 'yarn', 'longrope'] as const;
type Scaling = (typeof SCALINGS)[number];

/**
 * How the model turns positions into rotations: pair i by position · base^(−2i/dims), plain or scaled as the file says:
 * linearly, by YaRN (Peng et al. 2023), or with a factor for each frequency.
 * @param headDim of the heads that are turned
 * @throws StarlingError model_invalid (another scaling, values out of bounds), and those of reading
 */
export async function readRope(source: ModelSource, headDim: number): Promise<RopeSpec> {
  const dims = readDims(source, headDim);
  const base = source.positive('rope.freq_base', 10_000);
  const plain = plainFrequencies(dims, base);
  const scaling = readScaling(source);
  const attention = source.positive('rope.scaling.attn_factor', 1);
  const like = { width: headDim, long: null, scale: attention, temperature: null };
  if (scaling === 'yarn') {
    return { ...like, ...yarn(source, await divided(source, plain, FACTORS), dims, base, attention) };
  }
  if (scaling === 'longrope') {
    const long = {
      beyond: readOriginalLength(source),
      frequencies: await divided(source, plain, LONG_FACTORS, true),
    };
    return { ...like, long, frequencies: await divided(source, plain, SHORT_FACTORS, true) };
  }
  const linear = scaling === 'linear' ? readFactor(source) : 1;
  return { ...like, frequencies: (await divided(source, plain, FACTORS)).map((frequency) => frequency / linear) };
}

/** Rotations without any scaling. @param base of frequencies */
export function plainRope(source: ModelSource, headDim: number, base: number): RopeSpec {
  const frequencies = plainFrequencies(readDims(source, headDim), base);
  return { width: headDim, frequencies, long: null, scale: 1, temperature: null };
}

/** Nothing is turned. */
export const noRope = (headDim: number): RopeSpec => ({
  ...{ width: headDim, frequencies: new Float64Array(0), long: null, scale: 1, temperature: null },
});

/** Leading dimensions of a head that are turned. @throws StarlingError model_invalid */
export function readDims(source: ModelSource, headDim: number): number {
  const dims = source.integer('rope.dimension_count', 2, headDim, headDim);
  if (dims % 2 !== 0) throw source.invalid('rope.dimension_count', `is ${dims}; it must be even`);
  return dims;
}

/**
 * Positions that the model was first trained for, before its rotations were scaled.
 * @throws StarlingError model_invalid
 */
export function readOriginalLength(source: ModelSource): number {
  const name = 'rope.scaling.original_context_length';
  return source.integer(name, 1, 2 ** 24, source.integer('context_length', 1, 2 ** 24));
}

const plainFrequencies = (dims: number, base: number): Float64Array =>
  Float64Array.from({ length: dims / 2 }, (_, i) => base ** ((-2 * i) / dims));

/** Frequencies divided by the factors of a tensor; as they are where the model has none, and need not have. */
async function divided(
  { gguf, tensors }: ModelSource,
  frequencies: Float64Array,
  name: string,
  required = false,
): Promise<Float64Array> {
  if (!required && !tensors.has(name)) return frequencies;
  const factors = await readVector(gguf, tensors.vector(name, frequencies.length));
  if (!factors.every((factor) => factor > 0)) {
    throw tensors.invalid(`tensor ${name} holds factors that are not positive; the file is damaged`);
  }
  return frequencies.map((frequency, i) => frequency / factors[i]!);
}

function readScaling(source: ModelSource): Scaling {
  // llama.cpp's default: before scaling had types, files named a linear factor alone.
  const type = source.string('rope.scaling.type', 'linear');
  const scaling = SCALINGS.find((name) => name === type);
  if (scaling !== undefined) return scaling;
  throw source.invalid(
    'rope.scaling.type',
    `is ${source.shown('rope.scaling.type')}, which is not supported; supported: ${SCALINGS.join(', ')}`,
  );
}

/** A factor of 0 is none. */
function readFactor(source: ModelSource): number {
  const given = ['rope.scaling.factor', 'rope.scale_linear'].find((name) => source.has(name));
  return given === undefined || source.number(given) === 0 ? 1 : source.positive(given, 1);
}

/**
 * YaRN: pairs that turn often within the original length stay, those that do not once are interpolated, in between a
 * ramp. What is turned grows with the logarithm of the factor (§3.4), or as `yarn_log_multiplier` says (DeepSeek-AI
 * 2024, DeepSeek-V2).
 */
function yarn(
  source: ModelSource,
  plain: Float64Array,
  dims: number,
  base: number,
  attention: number,
): Pick<RopeSpec, 'frequencies' | 'scale'> {
  const factor = readFactor(source);
  const original = readOriginalLength(source);
  /** The pair that turns so many times within the original length. */
  const pairTurning = (times: number): number =>
    (dims * Math.log(original / (times * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(pairTurning(readBeta(source, 'fast', 32))));
  const high = Math.min(dims - 1, Math.ceil(pairTurning(readBeta(source, 'slow', 1))));
  const frequencies = plain.map((frequency, i) => {
    const kept = 1 - Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low)));
    return frequency * kept + (frequency / factor) * (1 - kept);
  });
  const growth = (multiplier: number): number => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1);
  const multiplier = source.number('rope.scaling.yarn_log_multiplier', 0);
  return { frequencies, scale: (attention * growth(1)) / (multiplier === 0 ? 1 : growth(multiplier)) };
}

function readBeta(source: ModelSource, name: 'fast' | 'slow', fallback: number): number {
  return source.positive(`rope.scaling.yarn_beta_${name}`, fallback);
}
