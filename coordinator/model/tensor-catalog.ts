import { StarlingError } from '../../daemon/errors.ts';
import { isWeightFormat, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import type { GgufFile } from './gguf/reader.ts';
import { shown } from './gguf/shown.ts';
import type { Matrix, Vector, Weight } from './spec.ts';
import type { TensorInfo } from './tensor-info.ts';

/** Old conversions carry these; their content is recomputed from the hyperparameters. */
const IGNORED = /^(blk\.\d+\.attn_rot_embd|rope\.freqs|blk\.\d+\.attn\.rope\.freqs)(\.weight)?$/;

/** Hands out a model's tensors by name after checking type and shape, and knows which were never asked for. */
export class TensorCatalog {
  readonly #gguf: GgufFile;
  readonly #architecture: string;
  readonly #used = new Set<string>();

  constructor(gguf: GgufFile, architecture: string) {
    this.#gguf = gguf;
    this.#architecture = architecture;
  }

  has(name: string): boolean {
    return this.#gguf.tensors.has(name);
  }

  /** An F32 vector of `length`. @throws StarlingError model_invalid */
  vector(name: string, length: number): TensorInfo {
    return this.#f32(name, [length]);
  }

  /**
   * A whole tensor of weights. @param rows null when the file decides
   * @throws StarlingError model_invalid (missing, another shape), model_unsupported_tensor_type
   */
  weight(name: string, rows: number | null, cols: number): Weight {
    return this.#weight(name, ({ dims }) => [cols, rows ?? dims[1] ?? 0]);
  }

  #f32(name: string, shape: readonly number[]): TensorInfo {
    const tensor = this.#find(name);
    if (tensor.type !== 'F32') {
      throw this.invalid(`tensor ${name} is ${tensor.type}; norms and factors must be F32, so convert the model again`);
    }
    this.#checkShape(tensor, shape);
    return tensor;
  }

  #weight(name: string, shapeOf: (tensor: TensorInfo) => readonly number[]): Weight {
    const tensor = this.#find(name);
    this.#checkShape(tensor, shapeOf(tensor));
    const { type } = tensor;
    if (!isWeightFormat(type)) {
      throw new StarlingError(
        'model_unsupported_tensor_type',
        `${this.#gguf.path}: not yet supported: tensor ${name} is ${type}; supported: ${Object.keys(WEIGHT_FORMATS).join(', ')}. Get the model in one of these`,
      );
    }
    return { ...tensor, type };
  }

  /** An F32 tensor, as a vector. @throws StarlingError as `vector` */
  whole(name: string, length: number): Vector {
    return { tensor: this.vector(name, length), first: 0, length, halves: null };
  }

  /** Matrices of one shape in one tensor, one below the other. @throws StarlingError as `weight` */
  matrices(name: string, count: number, rows: number, cols: number): Matrix[] {
    const tensor = this.#weight(name, () => [cols, rows, count]);
    return Array.from({ length: count }, (_, i) => ({ tensor, firstRow: i * rows, rows, cols, halves: null }));
  }

  /** F32 vectors of one length in one tensor. @throws StarlingError model_invalid */
  vectors(name: string, count: number, length: number): Vector[] {
    const tensor = this.#f32(name, [length, count]);
    return Array.from({ length: count }, (_, i) => ({ tensor, first: i * length, length, halves: null }));
  }

  /** Says of tensors that nothing needs them. */
  leaveOut(names: RegExp): void {
    for (const name of this.#gguf.tensors.keys()) if (names.test(name)) this.#used.add(name);
  }

  /** All of a tensor, as a matrix. @throws StarlingError as `weight` */
  matrix(name: string, rows: number, cols: number): Matrix {
    return { tensor: this.weight(name, rows, cols), firstRow: 0, rows, cols, halves: null };
  }

  /**
   * A tensor that nothing uses belongs to a computation that Starling does not know: the text would be wrong without
   * it.
   * @throws StarlingError model_invalid naming one
   */
  expectNoOthers(): void {
    for (const name of this.#gguf.tensors.keys()) {
      if (this.#used.has(name) || IGNORED.test(name)) continue;
      const kind = name.endsWith('.bias')
        ? 'a bias'
        : `a tensor that is no part of a plain ${this.#architecture} model`;
      throw this.invalid(`${shown(name)} is ${kind}, which is not supported`);
    }
  }

  #find(name: string): TensorInfo {
    const tensor = this.#gguf.tensors.get(name);
    if (tensor === undefined) {
      throw this.invalid(
        `the tensor ${name} is missing; the file is no complete model, so download or convert it again`,
      );
    }
    this.#used.add(name);
    return tensor;
  }

  /** Trailing dimensions of 1 are no difference. */
  #checkShape(tensor: TensorInfo, expected: readonly number[]): void {
    const shape = [...tensor.dims];
    while (shape.length > expected.length && shape.at(-1) === 1) shape.pop();
    if (shape.length !== expected.length || shape.some((dim, i) => dim !== expected[i])) {
      throw this.invalid(
        `tensor ${tensor.name} has the shape [${tensor.dims.join(', ')}]; the hyperparameters ask for [${expected.join(', ')}]`,
      );
    }
  }

  /** model_invalid about the file's tensors. */
  invalid(problem: string): StarlingError {
    return new StarlingError('model_invalid', `${this.#gguf.path}: ${problem}`);
  }
}
