import type { Arena } from '../kernels/arena.ts';
import { matrixBytes, ROW_GROUP, roundUp } from '../kernels/formats.ts';
import type { Address } from '../kernels/kernels.ts';

/** Formats of a router in memory: both give the same products where both hold its weights. */
export type RouterFormat = 'F32' | 'BF16';

/** The rows of a router, one below the other: what each row of a step is multiplied with. */
export interface RouterRows {
  /** [experts][dim] */
  readonly weights: Float32Array;
  /** [dim]: the row after those of the networks. */
  readonly sharedGate: Float32Array | null;
}

/**
 * Places a router's rows as a matrix in tile layout (kernels/formats.ts), as BF16 where that loses nothing: most are
 * trained in it and only stand in files as f32, and each is read whole for every row and layer.
 * @param cols at least `dim`; columns beyond are zero
 * @param at room for the matrix as F32, zeroed
 */
export function placeRouter(
  arena: Arena,
  { weights, sharedGate }: RouterRows,
  dim: number,
  cols: number,
  at: Address,
): RouterFormat {
  const rows = [weights, ...(sharedGate === null ? [] : [sharedGate])].flatMap((values) =>
    Array.from({ length: values.length / dim }, (_, row) => bitsOf(values.subarray(row * dim, (row + 1) * dim))),
  );
  const format = rows.every(areBfloats) ? 'BF16' : 'F32';
  const height = roundUp(rows.length, ROW_GROUP);
  const bytes = arena.bytes(at, matrixBytes(format, height, cols));
  const into =
    format === 'F32'
      ? new Uint32Array(bytes.buffer, bytes.byteOffset, height * cols)
      : new Uint16Array(bytes.buffer, bytes.byteOffset, height * cols);
  const shift = format === 'F32' ? 0 : 16;
  for (const [row, bits] of rows.entries()) {
    const group = Math.floor(row / ROW_GROUP) * cols;
    for (let col = 0; col < dim; col++) into[(group + col) * ROW_GROUP + (row % ROW_GROUP)] = bits[col]! >>> shift;
  }
  return format;
}

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Whether the lower half of each f32 is zero. */
const areBfloats = (bits: Uint32Array): boolean => bits.every((each) => (each & 0xffff) === 0);
