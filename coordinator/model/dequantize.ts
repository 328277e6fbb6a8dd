import { StarlingError } from '../../daemon/errors.ts';
import { sourceBytes, WEIGHT_FORMATS, type WeightFormat } from '../../kernels/formats.ts';
import { halfToFloat } from '../../kernels/half.ts';
import { exponentScale, QUANT_FORMATS, type QuantizedFormat, quantBlock } from '../../kernels/quant-block.ts';
import { readSourceBlock } from '../../kernels/source-block.ts';
import type { GgufFile } from './gguf/reader.ts';
import type { Weight } from './spec.ts';
import type { TensorInfo } from './tensor-info.ts';

/**
 * Decodes one row of a weight, bit for bit as ggml does (dequantize_row_* of ggml/src/ggml-quants.c).
 * @param source the row as in the file (any alignment), at least sourceBytes(format, cols) long
 * @param cols a multiple of the format's block
 * @param into at least cols long; the rest is left alone
 * @throws StarlingError internal when source, cols or into do not fit each other
 */
export function dequantizeRow(format: WeightFormat, source: Uint8Array, cols: number, into: Float32Array): void {
  const bytes = sourceBytes(format, cols);
  if (cols % WEIGHT_FORMATS[format].sourceBlockValues !== 0 || source.length < bytes || into.length < cols) {
    throw new StarlingError(
      'internal',
      `a row of ${cols} ${format} values is ${bytes} bytes; got ${source.length}, and room for ${into.length} values`,
    );
  }
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  switch (format) {
    case 'F32':
      // As bytes, so that NaN payloads survive.
      new Uint8Array(into.buffer, into.byteOffset, bytes).set(source.subarray(0, bytes));
      return;
    case 'F16':
      for (let i = 0; i < cols; i++) into[i] = halfToFloat(view.getUint16(2 * i, true));
      return;
    case 'BF16': {
      const bits = new Uint32Array(into.buffer, into.byteOffset, cols);
      for (let i = 0; i < cols; i++) bits[i] = view.getUint16(2 * i, true) << 16;
      return;
    }
    default:
      dequantizeBlocks(format, source, cols, into);
  }
}

/**
 * A value is (d·scale)·weight, plus m or minus dmin·min. All but the last operation are exact in f32, since an f16 has
 * 11 bits, scale and weight together at most 14 (Q6_K, which has no offset, so that there the second product is the
 * last operation): doubles rounded once give ggml's f32.
 */
function dequantizeBlocks(format: QuantizedFormat, source: Uint8Array, cols: number, into: Float32Array): void {
  const { sourceBlockValues, sourceBlockBytes } = WEIGHT_FORMATS[format];
  const { exponent, offset, run, weights } = QUANT_FORMATS[format];
  const block = quantBlock();
  for (let first = 0, at = 0; first < cols; first += sourceBlockValues, at += sourceBlockBytes) {
    readSourceBlock(format, source, at, block);
    const d = exponent ? exponentScale(block.d) : halfToFloat(block.d);
    const m = halfToFloat(block.m);
    for (let c = 0; c < sourceBlockValues; c++) {
      const j = Math.floor(c / run);
      const scaled = d * block.scales[j]! * weights[block.codes[c]!]!;
      // Adding nothing where there is no offset keeps −0.
      into[first + c] = offset === 'none' ? scaled : offset === 'm' ? scaled + m : scaled - m * block.mins[j]!;
    }
  }
}

/**
 * Reads a vector of f32, such as a norm.
 * @param tensor F32, one dimension
 * @throws StarlingError model_invalid when a value is not finite, and those of GgufFile.read
 */
export async function readVector(gguf: GgufFile, tensor: TensorInfo): Promise<Float32Array> {
  const bytes = new Uint8Array(tensor.byteLength);
  await gguf.read(tensor, 0, bytes.length, bytes);
  const values = new Float32Array(bytes.buffer);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new StarlingError(
      'model_invalid',
      `${gguf.path}: tensor ${tensor.name} holds ${values[bad]} at index ${bad}; the file is damaged, so download it again`,
    );
  }
  return values;
}

/** About 1800 rows of a 70B model in Q4_0, 256 in F32. */
const DEFAULT_CACHE_BYTES = 8 * 2 ** 20;

/** Rows of the embedding, read from the file by position; the rows used last stay in memory, encoded as in the file. */
export class EmbeddingReader {
  readonly #gguf: GgufFile;
  readonly #embedding: Weight;
  readonly #cols: number;
  readonly #rows: number;
  readonly #rowBytes: number;
  readonly #cachedRows: number;
  /** In order of use, the last used last. Reads under way are in it too, so that no row is read twice at a time. */
  readonly #cache = new Map<number, Promise<Uint8Array>>();

  /** @param embedding [vocabulary][dim]; @param cacheBytes memory for rows; one row is kept in any case */
  constructor(gguf: GgufFile, embedding: Weight, cacheBytes = DEFAULT_CACHE_BYTES) {
    this.#gguf = gguf;
    this.#embedding = embedding;
    this.#cols = embedding.dims[0] ?? 0;
    this.#rows = embedding.dims[1] ?? 0;
    this.#rowBytes = sourceBytes(embedding.type, this.#cols);
    this.#cachedRows = Math.max(1, Math.floor(cacheBytes / this.#rowBytes));
  }

  /**
   * Once a step: rows that are in memory are as they were, but what is still read of the model would not fit them.
   * @throws StarlingError model_file_changed
   */
  assertUnchanged(): void {
    this.#gguf.assertUnchanged(this.#embedding);
  }

  /**
   * Writes the embedding of a token to the front of `into`.
   * @param into at least dim values
   * @throws StarlingError invalid_request (no such token), and those of GgufFile.read
   */
  async row(token: number, into: Float32Array): Promise<void> {
    if (!Number.isInteger(token) || token < 0 || token >= this.#rows) {
      throw new StarlingError(
        'invalid_request',
        `token ${token} is not in the model's vocabulary, which has the ids 0 to ${this.#rows - 1}`,
      );
    }
    dequantizeRow(this.#embedding.type, await this.#bytes(token), this.#cols, into);
  }

  #bytes(token: number): Promise<Uint8Array> {
    const cached = this.#cache.get(token);
    if (cached !== undefined) {
      this.#cache.delete(token);
      this.#cache.set(token, cached);
      return cached;
    }
    const reading = this.#read(token);
    this.#cache.set(token, reading);
    // A failed read is not remembered: the next use tries again.
    reading.catch(() => {
      if (this.#cache.get(token) === reading) this.#cache.delete(token);
    });
    if (this.#cache.size > this.#cachedRows) {
      const [oldest] = this.#cache.keys();
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    return reading;
  }

  async #read(token: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(this.#rowBytes);
    await this.#gguf.read(this.#embedding, token * bytes.length, bytes.length, bytes);
    return bytes;
  }
}
