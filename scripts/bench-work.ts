import type { KvFormat, WeightFormat } from '../kernels/formats.ts';
import type { Address, Kernels } from '../kernels/kernels.ts';

/** What one thread computes in one repetition, with the addresses of everything; structured-cloneable. */
export type KernelWork =
  | {
      readonly op: 'matmul';
      readonly format: WeightFormat;
      /** Read one after the other, each outRows × cols. */
      readonly tiles: readonly Address[];
      readonly outRows: number;
      readonly cols: number;
      readonly panel: Address;
      readonly rows: number;
      readonly out: Address;
    }
  | { readonly op: 'each'; readonly works: readonly KernelWork[] }
  | {
      readonly op: 'repack';
      readonly format: WeightFormat;
      /** rows × cols in the format of a model file; repacked into each tile. */
      readonly source: Address;
      readonly sourceStride: number;
      readonly rows: number;
      readonly cols: number;
      readonly tiles: readonly Address[];
    }
  | {
      readonly op: 'attend';
      readonly format: KvFormat;
      /** First page of each key/value head; all use the same page table. */
      readonly caches: readonly Address[];
      readonly q: Address;
      readonly rows: number;
      readonly heads: number;
      readonly headDim: number;
      /** That the first row sees; each next one sees one more. */
      readonly positions: number;
      readonly pageTable: Address;
      readonly out: Address;
    }
  | {
      readonly op: 'rmsnorm' | 'quantize';
      readonly times: number;
      readonly x: Address;
      /** Of rmsnorm. */
      readonly weight: Address;
      readonly cols: number;
      readonly rows: number;
      readonly out: Address;
      readonly outStride: number;
    }
  | { readonly op: 'glu'; readonly times: number; readonly gate: Address; readonly up: Address; readonly n: number }
  | {
      readonly op: 'packSums';
      readonly times: number;
      readonly sums: Address;
      readonly n: number;
      readonly out: Address;
    }
  | {
      readonly op: 'unpackSums';
      readonly times: number;
      readonly packed: Address;
      readonly length: number;
      readonly n: number;
      readonly sums: Address;
    };

const EPS = 1e-5;

/** @returns false when a kernel refused its input: the work was made wrongly */
export function runWork(kernels: Kernels, work: KernelWork): boolean {
  switch (work.op) {
    case 'matmul': {
      const { format, outRows, cols, panel, rows, out } = work;
      for (const tile of work.tiles) kernels.matmul(format, tile, outRows, cols, panel, rows, out, outRows * 4);
      return true;
    }
    case 'each':
      return work.works.every((one) => runWork(kernels, one));
    case 'repack': {
      const { format, source, sourceStride, rows, cols } = work;
      return work.tiles.every((tile) => kernels.repack(format, source, sourceStride, rows, cols, tile, rows, cols));
    }
    case 'attend': {
      const { format, q, rows, heads, headDim, positions, pageTable, out } = work;
      const scale = 1 / Math.sqrt(headDim);
      const stride = heads * headDim * 4;
      for (const cache of work.caches) {
        kernels.attend(
          format,
          q,
          stride,
          rows,
          heads,
          headDim,
          scale,
          cache,
          pageTable,
          positions,
          out,
          stride,
          0,
          0,
          null,
        );
      }
      return true;
    }
    case 'rmsnorm': {
      const { x, weight, cols, rows, out, outStride } = work;
      return repeat(work.times, () => kernels.rmsnorm(x, cols * 4, weight, cols, cols, rows, EPS, out, outStride));
    }
    case 'quantize': {
      const { x, cols, rows, out, outStride } = work;
      return repeat(work.times, () => kernels.quantize(x, cols * 4, cols, rows, out, outStride));
    }
    case 'glu':
      return repeat(work.times, () => kernels.glu('silu', work.gate, work.up, work.n));
    case 'packSums':
      return repeat(work.times, () => kernels.packSums(work.sums, work.n, work.out) > 0);
    case 'unpackSums':
      return repeat(work.times, () => kernels.unpackSums(work.packed, work.length, work.n, work.sums));
  }
}

function repeat(times: number, call: () => unknown): boolean {
  let fine = true;
  for (let i = 0; i < times; i++) fine = call() !== false && fine;
  return fine;
}
