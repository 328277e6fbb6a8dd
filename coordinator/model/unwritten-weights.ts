import { sourceBytes, WEIGHT_FORMATS, type WeightFormat } from '../../kernels/formats.ts';
import type { TensorInfo } from './tensor-info.ts';
import type { ZeroRun } from './zero-runs.ts';

/** Zeros in a tensor, from a byte of it up to another. */
export interface TensorZeros {
  readonly tensor: TensorInfo;
  readonly from: number;
  readonly to: number;
}

export interface JudgedZeros {
  /** They begin or end within a row: no training leaves such zeros, but a download does that is not complete. */
  readonly torn: readonly TensorZeros[];
  /**
   * Whole rows: pruning leaves them, and so does a hole that happens to fit. Rows at the end of a vocabulary are not
   * among them.
   */
  readonly rows: readonly TensorZeros[];
}

/** Zeros that training left beside a row of zeros may lengthen a run: bytes, and share of a row, at most. */
const SLACK_BYTES = 64;
const SLACK = 1 / 16;

/** Matrices with a row a token. */
const VOCABULARY: ReadonlySet<string> = new Set(['token_embd.weight', 'output.weight']);
/** Vocabularies are rounded up, and their last rows are those of no token; as many as any are padded with. */
const MOST_UNUSED = 1024;

/**
 * Tells zeros that a model may have from those of a file that was not written whole, such as one that a download tool
 * made as long as it will be. Vectors that are zero as a whole are left alone: biases are.
 * @param tensors of the file in which the runs were found
 */
export function judgeZeros(runs: readonly ZeroRun[], tensors: readonly TensorInfo[]): JudgedZeros {
  const torn: TensorZeros[] = [];
  const rows: TensorZeros[] = [];
  for (const { start, end } of runs) {
    for (const tensor of tensors) {
      const from = Math.max(0, start - tensor.offset);
      const to = Math.min(tensor.byteLength, end - tensor.offset);
      if (from >= to) continue;
      const zeros = { tensor, from, to };
      const isVector = tensor.dims.length < 2;
      const rowBytes = isVector ? tensor.byteLength : bytesOfRow(tensor);
      // What a run has of a neighbour beyond its boundary may be zeros by chance.
      if (to - from <= slackOf(rowBytes)) continue;
      if (!isRowEdge(from, rowBytes) || !isRowEdge(to, rowBytes)) torn.push(zeros);
      else if (!isVector && !isPadding(zeros, rowBytes)) rows.push(zeros);
    }
  }
  return { torn, rows };
}

function isPadding({ tensor, from, to }: TensorZeros, rowBytes: number): boolean {
  const rows = (to - from) / rowBytes;
  return (
    VOCABULARY.has(tensor.name) && to === tensor.byteLength && rows <= MOST_UNUSED && rows < (tensor.dims[1] ?? 0) / 2
  );
}

function isRowEdge(at: number, rowBytes: number): boolean {
  const past = at % rowBytes;
  return Math.min(past, rowBytes - past) <= slackOf(rowBytes);
}

const slackOf = (rowBytes: number): number => Math.min(SLACK_BYTES, rowBytes * SLACK);

function bytesOfRow({ type, dims, byteLength }: TensorInfo): number {
  const known = type in WEIGHT_FORMATS;
  return known ? sourceBytes(type as WeightFormat, dims[0]!) : byteLength / dims.slice(1).reduce((a, b) => a * b, 1);
}
