import { type Arena, f32View, f64View } from '../kernels/arena.ts';
import { createArena, openKernels } from '../kernels/create-kernels.ts';
import {
  type ActivationFormat,
  activationBytes,
  type KvFormat,
  matrixBytes,
  panelBytes,
  ROW_GROUP,
  roundUp,
  sourceBytes,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../kernels/formats.ts';
import type { Address, BackendName, Kernels } from '../kernels/kernels.ts';
import { packedSumsLimit } from '../kernels/packed-sums.ts';
import { AttentionBench } from './bench-attention.ts';
import type { KernelWork } from './bench-work.ts';
import { randomFloats, randomWeights } from './random-weights.ts';

/** One row of the report before it is measured. */
export interface KernelCase {
  readonly op: KernelWork['op'];
  /** Of weights; of the cache (attend); null for operations on activations. */
  readonly format: WeightFormat | KvFormat | null;
  /** Rows of the batch; null where there is none. */
  readonly rows: number | null;
  /**
   * That one thread reads in one repetition: weights (matmul), pages (attend), source rows (repack), f32 activations
   * (rmsnorm, quantize, glu of SiLU) or f64 sums (packSums; unpackSums makes as many).
   */
  readonly bytes: number;
  /** Multiplications and additions of one thread in one repetition, where the op is about them. */
  readonly flops: number | null;
  /** The work of a thread. */
  readonly work: (thread: number) => KernelWork;
}

/** Columns of the matrices. */
const COLS = 2048;
/** As large as the tiles of a model. */
const TILE_BYTES = 1.2 * 2 ** 20;
/** The operations on activations: a prefill chunk of a model with so many columns. */
const WIDE = { rows: 64, cols: 4096 };
const WIDE_VALUES = WIDE.rows * WIDE.cols;
const SEED = 1;
/** Allocations from a page up start at a page. */
const PAGE = 4096;

interface ThreadMemory {
  /** Tiles or KV pages, that is: what streams from memory. */
  readonly stream: Address;
  readonly out: Address;
  readonly f32: readonly [Address, Address];
  /** Packed as they are; */
  readonly sums: Address;
  /** and what is added to, which grows. */
  readonly totals: Address;
  /** Room for packed sums, and for the smaller outputs of the other operations. */
  readonly packed: Address;
}

interface TileRun {
  readonly outRows: number;
  readonly tileBytes: number;
  readonly tiles: number;
}

/** As many tiles as come to about `bytes`, each about TILE_BYTES. */
function tileRun(format: WeightFormat, bytes: number): TileRun {
  const groupBytes = matrixBytes(format, ROW_GROUP, COLS);
  const outRows = ROW_GROUP * Math.max(1, Math.round(Math.min(TILE_BYTES, bytes) / groupBytes));
  const tileBytes = roundUp(matrixBytes(format, outRows, COLS), PAGE);
  return { outRows, tileBytes, tiles: Math.max(1, Math.round(bytes / tileBytes)) };
}

export interface BenchMemoryOptions {
  readonly backend: BackendName;
  readonly threads: number;
  readonly formats: readonly WeightFormat[];
  /** Largest batch. */
  readonly rows: number;
  /** That a thread reads in one repetition, about. */
  readonly bytes: number;
}

/** A backend's arena with everything that the cases compute on. */
export class BenchMemory {
  readonly arena: Arena;
  readonly #options: BenchMemoryOptions;
  readonly #kernels: Kernels;
  readonly #x: Address;
  readonly #panel: Address;
  readonly #source: Address;
  readonly #attention: AttentionBench;
  readonly #threads: readonly ThreadMemory[];

  /** Allocates everything; threads may be given their handles once it has returned. */
  constructor(options: BenchMemoryOptions) {
    const { backend, threads, formats, rows, bytes } = options;
    const arena = createArena(backend);
    const runs = formats.map((format) => ({ format, ...tileRun(format, bytes) }));
    const streamBytes = Math.max(
      AttentionBench.streamBytes(bytes),
      ...runs.map(({ tiles, tileBytes }) => tiles * tileBytes),
    );
    const outRows = Math.max(...runs.map((run) => run.outRows));
    this.arena = arena;
    this.#options = options;
    this.#x = arena.alloc(rows * COLS * 4);
    this.#panel = arena.alloc(panelBytes('f32', COLS, rows));
    this.#source = arena.alloc(Math.max(...runs.map((run) => run.outRows * sourceBytes(run.format, COLS))));
    this.#attention = new AttentionBench(arena);
    this.#threads = Array.from({ length: threads }, () => ({
      stream: arena.alloc(streamBytes),
      out: arena.alloc(rows * outRows * 4),
      f32: [arena.alloc(WIDE_VALUES * 4), arena.alloc(WIDE_VALUES * 4)] as const,
      sums: arena.alloc(WIDE_VALUES * 8),
      totals: arena.alloc(WIDE_VALUES * 8),
      packed: arena.alloc(packedSumsLimit(WIDE_VALUES)),
    }));
    this.#kernels = openKernels(arena.handle());
    this.#fillInput();
  }

  /** Fills the tiles with weights of a format; its cases are valid until the next call. */
  formatCases(format: WeightFormat, batches: readonly number[]): KernelCase[] {
    const run = tileRun(format, this.#options.bytes);
    const { outRows, tileBytes, tiles } = run;
    const stride = sourceBytes(format, COLS);
    const tilesOf = (thread: number): Address[] =>
      Array.from({ length: tiles }, (_, i) => this.#threads[thread]!.stream + i * tileBytes);
    this.#fillTiles(format, run);
    const repack: KernelCase = {
      op: 'repack',
      format,
      rows: null,
      bytes: tiles * outRows * stride,
      flops: null,
      work: (thread) => ({
        op: 'repack',
        format,
        source: this.#source,
        sourceStride: stride,
        rows: outRows,
        cols: COLS,
        tiles: tilesOf(thread),
      }),
    };
    const { activation } = WEIGHT_FORMATS[format];
    const matmuls = batches.map(
      (rows): KernelCase => ({
        op: 'matmul',
        format,
        rows,
        bytes: tiles * matrixBytes(format, outRows, COLS),
        flops: 2 * rows * outRows * COLS * tiles,
        work: (thread) => ({
          op: 'matmul',
          format,
          tiles: tilesOf(thread),
          outRows,
          cols: COLS,
          panel: this.#packed(activation, rows),
          rows,
          out: this.#threads[thread]!.out,
        }),
      }),
    );
    return [...matmuls, repack];
  }

  /** Fills the pages and activations of the operations that know no format; overwrites tiles. */
  otherCases(): KernelCase[] {
    for (const memory of this.#threads) this.#fillActivations(memory);
    const { rows, cols } = WIDE;
    const n = WIDE_VALUES;
    const wide = (op: KernelCase['op'], bytes: number, work: (memory: ThreadMemory, times: number) => KernelWork) => {
      const times = Math.max(1, Math.round(this.#options.bytes / bytes));
      const ofThread = (thread: number) => work(this.#threads[thread]!, times);
      return { op, format: null, rows, bytes: bytes * times, flops: null, work: ofThread };
    };
    const rowOp = (op: 'rmsnorm' | 'quantize', outStride: number) =>
      wide(op, n * 4, ({ f32: [x, weight], packed: out }, times) => {
        return { op, times, x, weight, cols, rows, out, outStride };
      });
    return [
      ...this.#attention.cases(this.#kernels, this.#options.bytes, (thread) => {
        const { stream, packed: out } = this.#threads[thread]!;
        return { stream, out };
      }),
      rowOp('rmsnorm', cols * 4),
      rowOp('quantize', activationBytes('q8', cols)),
      wide('glu', n * 8, ({ f32: [gate, up] }, times) => ({ op: 'glu', times, gate, up, n })),
      wide('packSums', n * 8, ({ sums, packed: out }, times) => ({ op: 'packSums', times, sums, n, out })),
      wide('unpackSums', n * 8, ({ sums, totals, packed }, times) => {
        // Packed here, since the other cases have used the room meanwhile.
        const length = this.#kernels.packSums(sums, n, packed);
        return { op: 'unpackSums', times, packed, length, n, sums: totals };
      }),
    ];
  }

  /** Of as many of the rows as a case has; until the next case. */
  #packed(activation: ActivationFormat, rows: number): Address {
    const stride = COLS * 4;
    if (activation === 'f32') this.#kernels.packPanel('f32', this.#x, stride, COLS, rows, this.#panel);
    else accepted(this.#kernels.quantizePanel(this.#x, stride, COLS, rows, this.#panel));
    return this.#panel;
  }

  #fillInput(): void {
    const { rows } = this.#options;
    const { arena } = this;
    randomFloats(SEED, 0, 1)(arena.bytes(this.#x, rows * COLS * 4), 0);
  }

  /** One tile of random weights, copied to every place: reading it from there costs the same. */
  #fillTiles(format: WeightFormat, { outRows, tileBytes, tiles }: TileRun): void {
    const { arena } = this;
    const stride = sourceBytes(format, COLS);
    randomWeights(format, SEED, 1 / Math.sqrt(COLS))(arena.bytes(this.#source, outRows * stride), 0);
    const first = this.#threads[0]!.stream;
    accepted(this.#kernels.repack(format, this.#source, stride, outRows, COLS, first, outRows, COLS));
    const tile = arena.bytes(first, tileBytes);
    for (const { stream } of this.#threads) {
      for (let i = 0; i < tiles; i++) {
        if (stream + i * tileBytes !== first) arena.bytes(stream + i * tileBytes, tileBytes).set(tile);
      }
    }
  }

  #fillActivations({ f32: [gate, up], sums }: ThreadMemory): void {
    const { arena } = this;
    // From 20 on silu(g) is g, so with 1 for `up` glu in place gives the same values however often it runs.
    const gates = f32View(arena, gate, WIDE_VALUES);
    randomFloats(SEED, 0, 1)(arena.bytes(gate, WIDE_VALUES * 4), 0);
    for (let i = 0; i < WIDE_VALUES; i++) gates[i] = 25 + gates[i]!;
    f32View(arena, up, WIDE_VALUES).fill(1);
    // About the size of a model's sums: values near one, times 2^24.
    const values = f64View(arena, sums, WIDE_VALUES);
    for (let i = 0; i < WIDE_VALUES; i++) values[i] = Math.round((gates[i]! - 25) * 2 ** 24);
  }
}

function accepted(fine: boolean): void {
  if (!fine) throw new Error('a kernel refused the bench’s random values');
}
