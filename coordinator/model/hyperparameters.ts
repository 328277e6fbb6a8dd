import { StarlingError } from '../../daemon/errors.ts';
import type { GgufFile } from './gguf/reader.ts';
import { shown } from './gguf/shown.ts';

/** The sizes of a llama model, within the bounds below; not yet compared with its tensors. */
export interface Hyperparameters {
  readonly layers: number;
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffDim: number;
  readonly contextLength: number;
  readonly rmsEps: number;
}

/** Values of general.architecture. */
export const SUPPORTED_ARCHITECTURES: readonly string[] = ['llama'];

/**
 * Reads and bounds the hyperparameters of a llama model.
 * @throws StarlingError model_unsupported_architecture (another architecture, a mixture of experts), model_invalid
 */
export function readHyperparameters(gguf: GgufFile): Hyperparameters {
  checkArchitecture(gguf);
  const dim = readInteger(gguf, 'llama.embedding_length', 8, 65_536);
  const layers = readInteger(gguf, 'llama.block_count', 1, 1024);
  const heads = readOfEveryLayer(gguf, layers, 'llama.attention.head_count', 1, 4096);
  const kvHeads = readOfEveryLayer(gguf, layers, 'llama.attention.head_count_kv', 1, heads, heads);
  if (heads % kvHeads !== 0) {
    throw invalid(
      gguf,
      'llama.attention.head_count_kv',
      `is ${kvHeads}, which does not divide the ${heads} query heads`,
    );
  }
  return {
    layers,
    dim,
    heads,
    kvHeads,
    headDim: readHeadDim(gguf, dim, heads),
    ffDim: readOfEveryLayer(gguf, layers, 'llama.feed_forward_length', 1, 2 ** 20),
    contextLength: readInteger(gguf, 'llama.context_length', 1, 2 ** 24),
    rmsEps: readEpsilon(gguf),
  };
}

/**
 * An integer within bounds. @param fallback for a missing key; without it the key is required
 * @throws StarlingError model_invalid naming the key
 */
export function readInteger(gguf: GgufFile, key: string, min: number, max: number, fallback?: number): number {
  const value = fallback === undefined ? gguf.metadata.number(key) : gguf.metadata.number(key, fallback);
  return bounded(gguf, key, value, min, max);
}

function bounded(gguf: GgufFile, key: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalid(gguf, key, `is ${value}; an integer from ${min} to ${max} is expected`);
  }
  return value;
}

/**
 * As readInteger, for what converters state once a layer where a model's layers may differ.
 * @throws StarlingError model_unsupported_architecture when they do differ
 */
function readOfEveryLayer(
  gguf: GgufFile,
  layers: number,
  key: string,
  min: number,
  max: number,
  fallback?: number,
): number {
  const found = gguf.metadata.get(key);
  if (found?.kind !== 'numbers') return readInteger(gguf, key, min, max, fallback);
  const [first = 0] = found.value;
  if (found.value.length !== layers) throw invalid(gguf, key, `has ${found.value.length} entries for ${layers} layers`);
  const other = found.value.findIndex((value) => value !== first);
  if (other < 0) return bounded(gguf, key, first, min, max);
  throw new StarlingError(
    'model_unsupported_architecture',
    `${gguf.path}: ${key} is ${first} in layer 0 and ${found.value[other]} in layer ${other}; layers of different sizes are not supported`,
    { param: key },
  );
}

/** model_invalid about a metadata key. */
export function invalid(gguf: GgufFile, key: string, problem: string): StarlingError {
  return new StarlingError('model_invalid', `${gguf.path}: the metadata key ${key} ${problem}`, { param: key });
}

function checkArchitecture(gguf: GgufFile): void {
  const key = 'general.architecture';
  const architecture = gguf.metadata.string(key);
  if (!SUPPORTED_ARCHITECTURES.includes(architecture)) {
    throw new StarlingError(
      'model_unsupported_architecture',
      `${gguf.path}: the architecture ${shown(architecture)} is not supported; supported: ${SUPPORTED_ARCHITECTURES.join(', ')}`,
      { param: key },
    );
  }
  const experts = gguf.metadata.number('llama.expert_count', 0);
  if (experts !== 0) {
    throw new StarlingError(
      'model_unsupported_architecture',
      `${gguf.path}: a mixture of ${experts} experts (llama.expert_count) is not supported yet; supported: ${SUPPORTED_ARCHITECTURES.join(', ')} without experts`,
      { param: 'llama.expert_count' },
    );
  }
}

function readHeadDim(gguf: GgufFile, dim: number, heads: number): number {
  const key = 'llama.attention.key_length';
  const value = gguf.metadata.number(key, dim / heads);
  if (!Number.isInteger(value) || value < 8 || value > 512 || value % 8 !== 0) {
    throw invalid(gguf, key, `(or embedding_length / head_count) is ${value}; a multiple of 8 up to 512 is supported`);
  }
  const valueKey = 'llama.attention.value_length';
  const valueLength = gguf.metadata.number(valueKey, value);
  if (valueLength !== value) {
    throw invalid(gguf, valueKey, `is ${valueLength}, but keys have ${value}; only equal lengths are supported`);
  }
  return value;
}

function readEpsilon(gguf: GgufFile): number {
  const key = 'llama.attention.layer_norm_rms_epsilon';
  const value = gguf.metadata.number(key);
  if (!(value > 0 && value < 1)) throw invalid(gguf, key, `is ${value}; a number between 0 and 1 is expected`);
  return value;
}
