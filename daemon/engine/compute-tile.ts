import { type ArenaHandle, viewOf } from '../../kernels/arena.ts';
import { ROW_GROUP, roundUp, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import type { PlacedMatrix, StepRows, TileBuffers } from '../../kernels/tile-work.ts';
import { PHASE, sumLimit } from './engine-spec.ts';
import { type EngineLayout, kvKey, type PlacedTile, type ThreadBuffers, tilesOf } from './layout.ts';
import type { RowRange } from './step.ts';

/** Waits until the keys and values that an attention tile attends to have been computed in the current job. */
export type AwaitKv = (place: number) => void;

const KINDS = { kv: 0, attention: 1, ffn: 2, head: 3 } as const;

/**
 * What one thread does with a tile, for rows of the step. Tiles are known by their place in execution order, and what is needed of
 * each is in arrays of numbers: objects would have to come from memory for every tile, as weights pass through the caches.
 */
export class TileComputer {
  readonly #kernels: Kernels;
  readonly #layout: EngineLayout;
  readonly #handle: ArenaHandle;
  readonly #buffers: TileBuffers;
  /** Whether rows of sums are wider than what products give. */
  readonly #padded: boolean;
  readonly #kinds: Uint8Array;
  /** What the kernels know a tile by; nothing for a head. */
  readonly #prepared: Int32Array;
  readonly #heads: ReadonlyMap<number, PlacedTile>;

  constructor(kernels: Kernels, handle: ArenaHandle, layout: EngineLayout, buffers: ThreadBuffers) {
    const { spec, inputPanels: panels, innerWidth } = layout;
    const { inner, innerPanel, sums } = buffers;
    this.#kernels = kernels;
    this.#layout = layout;
    this.#handle = handle;
    this.#buffers = { panels, inner, innerStride: innerWidth * 4, innerPanel, sums, sumStride: spec.cols * 8 };
    this.#padded = roundUp(spec.dim, ROW_GROUP) < spec.cols;
    const tiles = tilesOf(layout);
    this.#kinds = Uint8Array.from(tiles, ({ shape }) => KINDS[shape.kind]);
    this.#prepared = Int32Array.from(tiles, (tile) => (tile.shape.kind === 'head' ? 0 : this.#prepare(tile)));
    this.#heads = new Map(layout.headTasks.map((tile) => [tile.place, tile]));
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
      default:
        this.#head(this.#heads.get(place)!, count);
        return true;
    }
  }

  /** @returns the kernels' number for it */
  #prepare({ shape, matrices, kvHeads }: PlacedTile): number {
    const { spec, kv: caches, positions, tables, pages, rope } = this.#layout;
    const { headDim, heads, kv } = spec;
    const { kind, layer } = shape;
    const buffers = this.#buffers;
    const step: StepRows = { positions, tables, pages, rope };
    const placed = shape.matrices.map((matrix, i): PlacedMatrix => ({ ...matrix, weights: matrices[i]! }));
    const [first, second, third] = placed as [PlacedMatrix, PlacedMatrix, PlacedMatrix];
    const cacheOf = (kvHead: number): Address => caches.get(kvKey(layer, kvHead))!;
    if (kind === 'ffn') {
      const limit = sumLimit(spec, layer, PHASE.ffn);
      const plain = { gateBias: null, upBias: null, activation: 'silu', gathered: null } as const;
      return this.#kernels.prepareFeedForward({ gate: first, up: second, down: third, ...plain, buffers, limit });
    }
    if (kind === 'kv') {
      const cache = cacheOf(shape.first);
      const none = { kBias: null, vBias: null, kNorm: null, eps: 0 };
      return this.#kernels.prepareKeyValue({ k: first, v: second, ...none, kv, headDim, cache, buffers, step });
    }
    return this.#kernels.prepareAttention({
      q: first,
      qBias: null,
      qNorm: null,
      eps: 0,
      out: second,
      kv,
      headDim,
      window: 0,
      softCap: 0,
      sinks: null,
      scale: Math.fround(1 / Math.sqrt(headDim)),
      group: Math.min(shape.count, heads / spec.kvHeads),
      caches: kvHeads.map(cacheOf),
      buffers,
      step,
      limit: sumLimit(spec, layer, PHASE.attention),
    });
  }

  /** Logits of the phase's input rows. */
  #head({ shape, matrices }: PlacedTile, rows: number): void {
    const { inputPanels, logits } = this.#layout;
    const { format, rows: outRows, cols } = shape.matrices[0]!;
    const { address, first, width } = logits!;
    const panel = inputPanels[WEIGHT_FORMATS[format].activation];
    const out = address + (shape.first - first) * 4;
    this.#kernels.matmul(format, matrices[0]!, outRows, cols, panel, rows, out, width * 4);
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
