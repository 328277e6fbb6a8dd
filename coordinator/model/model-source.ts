import { StarlingError } from '../../daemon/errors.ts';
import type { GgufFile } from './gguf/reader.ts';
import { shown } from './gguf/shown.ts';
import { TensorCatalog } from './tensor-catalog.ts';

/** A model file as its architecture reads it: metadata keys without the architecture's name in front, and tensors. */
export class ModelSource {
  readonly gguf: GgufFile;
  readonly architecture: string;
  readonly tensors: TensorCatalog;

  /** @throws StarlingError model_invalid for a file that names no architecture */
  constructor(gguf: GgufFile) {
    this.gguf = gguf;
    this.architecture = gguf.metadata.string('general.architecture');
    this.tensors = new TensorCatalog(gguf, this.architecture);
  }

  key(name: string): string {
    return `${this.architecture}.${name}`;
  }

  has(name: string): boolean {
    return this.gguf.metadata.has(this.key(name));
  }

  /** @throws StarlingError model_invalid where the key is no number, or missing without a fallback */
  number(name: string, fallback?: number): number {
    const { metadata } = this.gguf;
    return fallback === undefined ? metadata.number(this.key(name)) : metadata.number(this.key(name), fallback);
  }

  boolean(name: string, fallback: boolean): boolean {
    return this.gguf.metadata.boolean(this.key(name), fallback);
  }

  string(name: string, fallback: string): string {
    return this.gguf.metadata.string(this.key(name), fallback);
  }

  /**
   * An integer within bounds. @param fallback for a missing key; without it the key is required
   * @throws StarlingError model_invalid naming the key
   */
  integer(name: string, min: number, max: number, fallback?: number): number {
    return this.#bounded(name, this.number(name, fallback), min, max);
  }

  /** @throws StarlingError model_invalid */
  positive(name: string, fallback: number): number {
    const value = this.number(name, fallback);
    if (!(value > 0 && value <= 1e12)) throw this.invalid(name, `is ${value}; a positive number is expected`);
    return value;
  }

  /**
   * As `integer`, for what converters state once a layer where a model's layers may differ.
   * @throws StarlingError model_unsupported_architecture when they do differ
   */
  integerOfLayers(name: string, layers: number, min: number, max: number, fallback?: number): number {
    const found = this.gguf.metadata.get(this.key(name));
    if (found?.kind !== 'numbers') return this.integer(name, min, max, fallback);
    const [first = 0] = found.value;
    if (found.value.length !== layers)
      throw this.invalid(name, `has ${found.value.length} entries for ${layers} layers`);
    const other = found.value.findIndex((value) => value !== first);
    if (other < 0) return this.#bounded(name, first, min, max);
    throw new StarlingError(
      'model_unsupported_architecture',
      `${this.gguf.path}: ${this.key(name)} is ${first} in layer 0 and ${found.value[other]} in layer ${other}; layers of different sizes are not supported`,
      { param: this.key(name) },
    );
  }

  /** model_invalid about a metadata key. */
  invalid(name: string, problem: string): StarlingError {
    return new StarlingError('model_invalid', `${this.gguf.path}: the metadata key ${this.key(name)} ${problem}`, {
      param: this.key(name),
    });
  }

  /** What a metadata key says, as it can be shown. */
  shown(name: string): string {
    return shown(this.string(name, ''));
  }

  #bounded(name: string, value: number, min: number, max: number): number {
    if (!Number.isInteger(value) || value < min || value > max) {
      throw this.invalid(name, `is ${value}; an integer from ${min} to ${max} is expected`);
    }
    return value;
  }
}
