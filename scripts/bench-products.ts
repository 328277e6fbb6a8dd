import { type TileShape, tileLayout } from '../daemon/engine/tile.ts';
import { type Arena, f32View } from '../kernels/arena.ts';
import { createArena, openKernels } from '../kernels/create-kernels.ts';
import { type ActivationFormat, activationBytes, panelBytes, WEIGHT_FORMATS } from '../kernels/formats.ts';
import type { Address, BackendName, Kernels } from '../kernels/kernels.ts';
import { BenchThreads } from './bench-threads.ts';
import type { KernelWork } from './bench-work.ts';
import { randomFloats } from './random-weights.ts';
import { fillMatrix, sourceSize } from './synthetic-tiles.ts';

const SEED = 1;

export interface ModelProductsOptions {
  readonly backend: BackendName;
  readonly threads: number;
  /** The most that will be measured. */
  readonly rows: number;
}

/**
 * Every matrix product of a model by itself, tile for tile, on threads that meet at the beginning and at the end only: what a step
 * would take without norms, attention, sums, drawing, and waiting between layers. Random weights, in memory of their own.
 */
export class ModelProducts {
  readonly #threads: BenchThreads;
  readonly #works: (rows: number) => KernelWork[];

  private constructor(threads: BenchThreads, works: (rows: number) => KernelWork[]) {
    this.#threads = threads;
    this.#works = works;
  }

  static async start(tiles: readonly TileShape[], options: ModelProductsOptions): Promise<ModelProducts> {
    const { backend, threads } = options;
    const arena = createArena(backend);
    const matrices = tiles.flatMap((tile) => tile.matrices);
    const places = tiles.map(({ matrices: own }) => arena.alloc(tileLayout(own).bytes));
    const source = arena.alloc(Math.max(...matrices.map(sourceSize)));
    const outBytes = options.rows * 4 * Math.max(...matrices.map(({ rows }) => rows));
    const outs = Array.from({ length: threads }, () => arena.alloc(outBytes));
    const inputs = new Inputs(arena, options.rows, new Set(matrices.map(({ cols }) => cols)));
    const handles = Array.from({ length: threads }, () => arena.handle());
    const kernels = openKernels(arena.handle());
    inputs.fill();
    fillTiles(arena, kernels, tiles, places, source);
    const works = (rows: number): KernelWork[] => {
      inputs.pack(kernels, rows);
      return outs.map((out, thread) => {
        // In turn, as threads take tiles.
        const mine = tiles.map((tile, i) => ({ tile, place: places[i]! })).filter((_, i) => i % threads === thread);
        return {
          op: 'each',
          works: mine.flatMap(({ tile, place }) => productsOf(tile, place, inputs, rows, out)),
        };
      });
    };
    return new ModelProducts(await BenchThreads.start(handles), works);
  }

  /** @returns seconds that one pass over the model takes for `rows` rows, the median of what `seconds` hold */
  measure(rows: number, seconds: number): Promise<number> {
    return this.#threads.measure(this.#works(rows), seconds);
  }

  stop(): Promise<void> {
    return this.#threads.stop();
  }
}

/** Rows of activations for each width of a matrix, and as formats take them. */
class Inputs {
  readonly #arena: Arena;
  readonly #rows: number;
  readonly #at = new Map<
    number,
    { readonly f32: Address; readonly panels: Readonly<Record<ActivationFormat, Address>> }
  >();

  constructor(arena: Arena, rows: number, widths: ReadonlySet<number>) {
    this.#arena = arena;
    this.#rows = rows;
    for (const cols of widths) {
      const panel = (format: ActivationFormat): Address => arena.alloc(panelBytes(format, cols, rows));
      const f32 = arena.alloc(rows * activationBytes('f32', cols));
      this.#at.set(cols, { f32, panels: { f32: panel('f32'), q8: panel('q8') } });
    }
  }

  fill(): void {
    for (const [cols, { f32 }] of this.#at) {
      const values = f32View(this.#arena, f32, this.#rows * cols);
      randomFloats(SEED, 0, 1)(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 0);
    }
  }

  /** Makes panels of so many rows. */
  pack(kernels: Kernels, rows: number): void {
    for (const [cols, { f32, panels }] of this.#at) {
      kernels.packPanel('f32', f32, cols * 4, cols, rows, panels.f32);
      if (!kernels.quantizePanel(f32, cols * 4, cols, rows, panels.q8)) throw new Error('random values were refused');
    }
  }

  of(cols: number, format: ActivationFormat): Address {
    return this.#at.get(cols)!.panels[format];
  }
}

function productsOf(tile: TileShape, place: Address, inputs: Inputs, rows: number, out: Address): KernelWork[] {
  const { offsets } = tileLayout(tile.matrices);
  return tile.matrices.map(({ format, rows: outRows, cols }, i) => {
    const panel = inputs.of(cols, WEIGHT_FORMATS[format].activation);
    return { op: 'matmul', format, tiles: [place + offsets[i]!], outRows, cols, panel, rows, out };
  });
}

/** Tiles of the same shape hold the same weights: reading them from their own places costs the same. */
function fillTiles(
  arena: Arena,
  kernels: Kernels,
  tiles: readonly TileShape[],
  places: readonly Address[],
  source: Address,
): void {
  const filled = new Map<string, Uint8Array>();
  for (const [t, { matrices }] of tiles.entries()) {
    const { offsets, bytes } = tileLayout(matrices);
    const content = arena.bytes(places[t]!, bytes);
    const key = JSON.stringify(matrices);
    const same = filled.get(key);
    if (same !== undefined) {
      content.set(same);
      continue;
    }
    for (const [i, matrix] of matrices.entries()) {
      fillMatrix(arena, kernels, matrix, source, places[t]! + offsets[i]!, SEED + i);
    }
    filled.set(key, content);
  }
}
