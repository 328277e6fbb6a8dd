import type { EngineSpec } from '../daemon/engine/engine-spec.ts';
import {
  cachePageBytes,
  type EngineLayout,
  executionOrder,
  kvKey,
  type PlacedTile,
  placeEngine,
  tilesOf,
} from '../daemon/engine/layout.ts';
import { planWindow } from '../daemon/engine/window-plan.ts';
import { type TileShape, tileLayout } from '../daemon/tile/tile.ts';
import { type Arena, f32View, u32View } from '../kernels/arena.ts';
import { createArena, openKernels } from '../kernels/create-kernels.ts';
import { type ActivationFormat, activationBytes, KV_PAGE, panelBytes, WEIGHT_FORMATS } from '../kernels/formats.ts';
import type { Address, BackendName, Kernels } from '../kernels/kernels.ts';
import type { StepWork } from './bench-step.ts';
import { BenchThreads } from './bench-threads.ts';
import type { KernelWork } from './bench-work.ts';
import { randomFloats } from './random-weights.ts';
import { fillMatrix, sourceSize } from './synthetic-tiles.ts';

const SEED = 1;

export interface ModelKernelsOptions {
  readonly backend: BackendName;
  readonly threads: number;
  /** The most that will be measured. */
  readonly rows: number;
  /** Where each row's sequence is. */
  readonly position: number;
}

/** Seconds that a step takes. */
export interface ModelKernelTimes {
  /** Every matrix product, tile for tile. */
  readonly products: number;
  /** All kernels: attention, norms, sums and activations too. */
  readonly kernels: number;
}

/**
 * A model's kernels by themselves, on threads that meet at the beginning and at the end of a step only: what a step
 * would take without drawing, scheduling, and waiting between phases. Random weights, in memory of their own; each row
 * a sequence of its own.
 */
export class ModelKernels {
  readonly #threads: BenchThreads;
  readonly #products: (rows: number) => KernelWork[];
  readonly #steps: (rows: number) => StepWork[];

  private constructor(
    threads: BenchThreads,
    products: (rows: number) => KernelWork[],
    steps: (rows: number) => StepWork[],
  ) {
    this.#threads = threads;
    this.#products = products;
    this.#steps = steps;
  }

  /** @param spec of the engine; its caches are made as long as needed here */
  static async start(
    spec: EngineSpec,
    shapes: readonly TileShape[],
    { backend, threads, rows, position }: ModelKernelsOptions,
  ): Promise<ModelKernels> {
    const arena = createArena(backend);
    const tiles = executionOrder(spec, shapes);
    const pagesEach = Math.floor(position / KV_PAGE) + 1;
    const plan = planWindow(
      tiles.map((tile) => tileLayout(tile).bytes),
      Number.POSITIVE_INFINITY,
    );
    const inMemory = { plan, ring: 0, shared: null };
    const layout = placeEngine({ ...spec, kvPages: rows * pagesEach }, tiles, threads, arena, inMemory);
    const places = tilesOf(layout);
    const matrices = tiles.flatMap((tile) => tile.matrices);
    const source = arena.alloc(Math.max(...matrices.map(sourceSize)));
    const outBytes = rows * 4 * Math.max(...matrices.map((matrix) => matrix.rows));
    const outs = Array.from({ length: threads }, () => arena.alloc(outBytes));
    const widest = Math.max(...matrices.map(({ cols }) => cols));
    const x = arena.alloc(rows * widest * 4);
    const panel = (format: ActivationFormat, cols: number): Address => arena.alloc(panelBytes(format, cols, rows));
    const widths = [...new Set(matrices.map(({ cols }) => cols))];
    const panels: Panels = new Map(widths.map((cols) => [cols, { f32: panel('f32', cols), q8: panel('q8', cols) }]));
    const between = {
      residual: arena.alloc(rows * spec.cols * 4),
      weight: arena.alloc(spec.cols * 4),
      normed: arena.alloc(rows * spec.cols * 4),
      quantized: arena.alloc(rows * activationBytes('q8', spec.cols)),
      panel: panel('q8', spec.cols),
    };
    const handles = Array.from({ length: threads }, () => arena.handle());
    const kernels = openKernels(arena.handle());
    randomRows(arena, x, rows * widest);
    fillTiles(arena, kernels, places, source);
    fillSequences(arena, layout, rows, position, pagesEach);
    const products = (count: number): KernelWork[] => {
      for (const [cols, into] of panels) pack(kernels, x, cols, count, into);
      return outs.map((out, thread) => ({
        op: 'each',
        works: places.filter((_, i) => i % threads === thread).flatMap((tile) => productsOf(tile, panels, count, out)),
      }));
    };
    const steps = (count: number): StepWork[] => {
      pack(kernels, x, spec.cols, count, layout.inputPanels);
      randomRows(arena, between.residual, rows * spec.cols);
      randomRows(arena, between.weight, spec.cols);
      return outs.map((_, thread) => ({ op: 'step', layout, thread, threads, rows: count, ...between }));
    };
    return new ModelKernels(await BenchThreads.start(handles), products, steps);
  }

  /** Medians of what `seconds` hold, for each of the two. */
  async measure(rows: number, seconds: number): Promise<ModelKernelTimes> {
    const products = await this.#threads.measure(this.#products(rows), seconds);
    return { products, kernels: await this.#threads.measure(this.#steps(rows), seconds) };
  }

  stop(): Promise<void> {
    return this.#threads.stop();
  }
}

function randomRows(arena: Arena, address: Address, count: number): void {
  const values = f32View(arena, address, count);
  randomFloats(SEED, 0, 1)(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 0);
}

type Panels = ReadonlyMap<number, Readonly<Record<ActivationFormat, Address>>>;

function pack(kernels: Kernels, x: Address, cols: number, rows: number, into: Record<ActivationFormat, Address>): void {
  kernels.packPanel('f32', x, cols * 4, cols, rows, into.f32);
  if (!kernels.quantizePanel(x, cols * 4, cols, rows, into.q8)) throw new Error('random values were refused');
}

function productsOf({ shape, matrices }: PlacedTile, panels: Panels, rows: number, out: Address): KernelWork[] {
  return shape.matrices.map(({ format, rows: outRows, cols }, i) => {
    const panel = panels.get(cols)![WEIGHT_FORMATS[format].activation];
    return { op: 'matmul', format, tiles: [matrices[i]!], outRows, cols, panel, rows, out };
  });
}

/** Tiles of the same shape hold the same weights: reading them from their own places costs the same. */
function fillTiles(arena: Arena, kernels: Kernels, tiles: readonly PlacedTile[], source: Address): void {
  const filled = new Map<string, Uint8Array>();
  for (const { shape, address } of tiles) {
    const { offsets, bytes } = tileLayout(shape);
    const content = arena.bytes(address, bytes);
    const key = JSON.stringify(shape.matrices);
    const same = filled.get(key);
    if (same !== undefined) {
      content.set(same);
      continue;
    }
    for (const [i, matrix] of shape.matrices.entries()) {
      fillMatrix(arena, kernels, matrix, source, address + offsets[i]!, SEED + i);
    }
    filled.set(key, content);
  }
}

/** Sequences of equal length, with pages one after the other and something in every cache. */
function fillSequences(arena: Arena, layout: EngineLayout, rows: number, position: number, pagesEach: number): void {
  const { spec } = layout;
  u32View(arena, layout.positions, rows).fill(position);
  const tables = u32View(arena, layout.tables, rows);
  for (let row = 0; row < rows; row++) tables[row] = row * pagesEach;
  const pages = u32View(arena, layout.pages, rows * pagesEach);
  for (let page = 0; page < pages.length; page++) pages[page] = page;
  for (const [i, rope] of layout.ropes.entries()) randomRows(arena, rope, rows * spec.ropes[i]!);
  // 0.13 as f16, and 48 times a scale of as much as q8.
  for (const { shape, kvHeads } of tilesOf(layout)) {
    if (shape.kind !== 'kv') continue;
    const cache = layout.kv.get(kvKey(shape.layer, kvHeads[0]!))!;
    arena.bytes(cache, spec.kvPages * cachePageBytes(spec, shape)).fill(0x30);
  }
}
