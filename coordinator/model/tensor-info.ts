/** A tensor of a GGUF model, as its header describes it. */
export interface TensorInfo {
  readonly name: string;
  /** ggml's type name, such as "Q8_0"; any type that ggml knows. */
  readonly type: string;
  /** ggml order: dims[0] is the contiguous one (columns), dims[1] the rows. */
  readonly dims: readonly number[];
  /** Which file of a split model. */
  readonly file: number;
  /** Absolute byte offset in that file. */
  readonly offset: number;
  readonly byteLength: number;
}
