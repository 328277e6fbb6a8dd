import { type ArenaHandle, viewOf, wordsOf } from '../../kernels/arena.ts';
import { ROW_GROUP, roundUp, WEIGHT_FORMATS, type WeightFormat } from '../../kernels/formats.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import type { PlacedMatrix, StepRows, TileBuffers } from '../../kernels/tile-work.ts';
import type { TileKind } from '../tile/tile.ts';
import { orderOf, phaseSpecOf, rulesOf } from '../tile/tile-kinds.ts';
import type { ThreadBuffers } from './buffers.ts';
import { type NormsSpec, sumLimit } from './engine-spec.ts';
import { networksOfTiles } from './expert-tasks.ts';
import { type EngineLayout, kvKey, type PlacedTile, tilesOf } from './layout.ts';
import { addMeanSquare, MEAN_SQUARES } from './mean-squares.ts';
import type { RowRange } from './step.ts';

/** Waits until the keys and values that an attention tile attends to have been computed in the current job. */
export type AwaitKv = (place: number) => void;

/** Places in TILE_KINDS. */
const KINDS = { norm: 0, kv: 1, attention: 2, ffn: 3, expert: 4, head: 5 } as const satisfies Record<TileKind, number>;

/**
 * What one thread does with a tile, for rows of the step. Tiles are known by their place in execution order, and what
 * is needed of each is in arrays of numbers: objects would have to come from memory for every tile, as weights pass
 * through the caches.
 */
export class TileComputer {
  readonly #kernels: Kernels;
  readonly #layout: EngineLayout;
  readonly #handle: ArenaHandle;
  readonly #buffers: TileBuffers;
  readonly #gathered: Address | null;
  /** Whether rows of sums are wider than what products give. */
  readonly #padded: boolean;
  readonly #kinds: Uint8Array;
  /** What the kernels know a tile by; nothing for a norm or a head. */
  readonly #prepared: Int32Array;
  readonly #heads: HeadTiles;
  readonly #norms: ReadonlyMap<number, PlacedTile>;
  /** See networksOfTiles. */
  readonly #networks: Uint16Array;
  /** See RouteLists.starts. */
  readonly #starts: Uint32Array | null;

  constructor(kernels: Kernels, handle: ArenaHandle, layout: EngineLayout, buffers: ThreadBuffers) {
    const { spec, inputPanels: panels, innerWidth, routes } = layout;
    const { inner, innerPanel, sums } = buffers;
    this.#kernels = kernels;
    this.#layout = layout;
    this.#handle = handle;
    this.#buffers = { panels, inner, innerStride: innerWidth * 4, innerPanel, sums, sumStride: spec.cols * 8 };
    this.#gathered = buffers.gathered;
    this.#padded = roundUp(spec.dim, ROW_GROUP) < spec.cols;
    const tiles = tilesOf(layout);
    this.#kinds = Uint8Array.from(tiles, ({ shape }) => orderOf(shape));
    this.#prepared = Int32Array.from(tiles, (tile) => this.#prepare(tile));
    this.#networks = networksOfTiles(layout);
    this.#starts = routes === null ? null : wordsOf(handle, routes.starts, routes.networks + 1);
    this.#heads = headTiles(layout);
    this.#norms = new Map(tiles.filter(({ shape }) => shape.kind === 'norm').map((tile) => [tile.place, tile]));
  }

  isKeyValue(place: number): boolean {
    return this.#kinds[place] === KINDS.kv;
  }

  /**
   * @param place of the tile
   * @param fresh whether the thread's sums hold nothing of the job yet
   * @returns false when a value is not finite or too large for the exact sums
   */
  compute(place: number, rows: RowRange, fresh: boolean, awaitKv: AwaitKv): boolean {
    const { first, count } = rows;
    const kernels = this.#kernels;
    const prepared = this.#prepared[place]!;
    switch (this.#kinds[place]) {
      case KINDS.kv:
        kernels.keyValue(prepared, first, count);
        return true;
      case KINDS.attention:
        kernels.queries(prepared, first, count);
        awaitKv(place);
        if (fresh) this.#clearPadding(rows);
        return kernels.attention(prepared, first, count, fresh);
      case KINDS.ffn:
        if (fresh) this.#clearPadding(rows);
        return kernels.feedForward(prepared, first, count, fresh);
      case KINDS.expert: {
        if (fresh) this.#clearPadding(rows);
        const network = this.#networks[this.#layout.occupants.tiles[place]!]!;
        const from = this.#starts![network]!;
        const uses = this.#starts![network + 1]! - from;
        const { rows: list, weights } = this.#layout.routes!;
        return kernels.expert(prepared, first, count, list + from * 4, weights + from * 4, uses, fresh);
      }
      case KINDS.norm:
        return this.#norm(this.#norms.get(place)!, rows, fresh);
      default:
        this.#head(place, count);
        return true;
    }
  }

  /** @returns the kernels' number for it */
  #prepare({ shape, matrices, vectors, kvHeads }: PlacedTile): number {
    const { spec, kv, positions, tables, pages, ropes, factors } = this.#layout;
    return rulesOf(shape).prepare(this.#kernels, spec, phaseSpecOf(spec, shape), {
      shape,
      matrices: shape.matrices.map((matrix, i): PlacedMatrix => ({ ...matrix, weights: matrices[i]! })),
      vectors,
      caches: kvHeads.map((head) => kv.get(kvKey(shape.layer, head))!),
      buffers: this.#buffers,
      gathered: this.#gathered,
      factors,
      step: (rope): StepRows => ({ positions, tables, pages, rope: ropes[rope]! }),
    });
  }

  /** Adds the mean squares of the tile's heads to sums that are zeros but for these. @returns see addMeanSquare */
  #norm({ shape, matrices }: PlacedTile, { first, count }: RowRange, fresh: boolean): boolean {
    const { spec, inputPanels } = this.#layout;
    const { inner, innerStride, sums, sumStride } = this.#buffers;
    const { format, rows: outRows, cols } = shape.matrices[0]!;
    const phase = phaseSpecOf(spec, shape) as NormsSpec;
    const { heads, kvHeads, headDim } = phase;
    const panel = inputPanels[WEIGHT_FORMATS[format].activation];
    this.#kernels.matmul(format, matrices[0]!, outRows, cols, panel, count, inner[0], innerStride);
    const [at, all] = shape.first < heads ? [MEAN_SQUARES.q, heads] : [MEAN_SQUARES.k, kvHeads];
    const limit = sumLimit(phase);
    let good = true;
    for (let row = 0; row < count; row++) {
      const values = viewOf(this.#handle, inner[0] + row * innerStride, outRows * 4);
      const into = viewOf(this.#handle, sums + (first + row) * sumStride, sumStride);
      if (fresh) into.fill(0);
      const pair = new Float64Array(into.buffer, into.byteOffset + at * 8, 2);
      const products = new Float32Array(values.buffer, values.byteOffset, outRows);
      if (!addMeanSquare(products, all * headDim, limit, pair)) good = false;
    }
    return good;
  }

  /** Logits of the phase's input rows. */
  #head(place: number, rows: number): void {
    const { first, formats, weights, heights, out } = this.#heads;
    const { spec, inputPanels, logits } = this.#layout;
    const i = place - first;
    const format = formats[i]!;
    const panel = inputPanels[WEIGHT_FORMATS[format].activation];
    this.#kernels.matmul(format, weights[i]!, heights[i]!, spec.cols, panel, rows, out[i]!, logits!.width * 4);
  }

  /** Zeroes what products leave alone of the rows' sums. */
  #clearPadding({ first, count }: RowRange): void {
    if (!this.#padded) return;
    const { dim, cols } = this.#layout.spec;
    const from = roundUp(dim, ROW_GROUP) * 8;
    for (let row = first; row < first + count; row++) {
      viewOf(this.#handle, this.#buffers.sums + row * cols * 8 + from, cols * 8 - from).fill(0);
    }
  }
}

/** The head's tiles: where the first is in execution order, and of each its matrix and the place of its first logit. */
interface HeadTiles {
  readonly first: number;
  readonly formats: readonly WeightFormat[];
  readonly weights: Float64Array;
  readonly heights: Uint32Array;
  readonly out: Float64Array;
}

function headTiles({ headTasks, logits }: EngineLayout): HeadTiles {
  return {
    first: headTasks[0]?.place ?? 0,
    formats: headTasks.map(({ shape }) => shape.matrices[0]!.format),
    weights: Float64Array.from(headTasks, ({ matrices }) => matrices[0]!),
    heights: Uint32Array.from(headTasks, ({ shape }) => shape.matrices[0]!.rows),
    out: Float64Array.from(headTasks, ({ shape }) => logits!.address + (shape.first - logits!.first) * 4),
  };
}
