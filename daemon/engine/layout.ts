import type { Arena } from '../../kernels/arena.ts';
import { kvPageBytes } from '../../kernels/formats.ts';
import type { Address } from '../../kernels/kernels.ts';
import { type TileShape, tileLayout } from '../tile/tile.ts';
import { kvHeadsOf, orderOf, phaseOf, phaseSpecOf } from '../tile/tile-kinds.ts';
import { type EngineBuffers, placeBuffers } from './buffers.ts';
import { type AttentionSpec, type EngineSpec, HEAD, type Phase } from './engine-spec.ts';
import { createOccupants, type Occupants } from './occupants.ts';
import type { WindowPlan } from './window-plan.ts';
import type { WindowShared } from './window-words.ts';

/** A tile with the addresses of its matrices. */
export interface PlacedTile {
  readonly shape: TileShape;
  /**
   * Position in execution order: tiles of a phase follow each other. Another one may come to lie there: see Occupants.
   */
  readonly place: number;
  readonly address: Address;
  readonly matrices: readonly Address[];
  readonly vectors: readonly Address[];
  /** Key/value heads that an attention tile attends to, or that of a key/value tile. */
  readonly kvHeads: readonly number[];
  /** Place among the streamed tiles, which share the slots of the window; null for a tile that is always in memory. */
  readonly stream: number | null;
}

/** Where everything of an engine is. Structured-cloneable: workers get it as it is. */
export interface EngineLayout extends EngineBuffers {
  readonly spec: EngineSpec;
  /**
   * Tasks of each layer's phases in the order in which they are claimed; key/value tiles come before attention tiles.
   */
  readonly tasks: readonly (readonly (readonly PlacedTile[])[])[];
  readonly headTasks: readonly PlacedTile[];
  /** First page of a key/value head's cache, by `${layer}/${kvHead}`. */
  readonly kv: ReadonlyMap<string, Address>;
  /** What the threads share about the ring of slots; null when every tile is in memory. */
  readonly window: WindowShared | null;
  readonly occupants: Occupants;
}

export const kvKey = (layer: number, kvHead: number): string => `${layer}/${kvHead}`;

export function tasksOf(layout: EngineLayout, layer: number, phase: Phase): readonly PlacedTile[] {
  return phase === HEAD ? layout.headTasks : layout.tasks[layer]![phase]!;
}

/** All tiles, each at its place. */
export const tilesOf = ({ tasks, headTasks }: Pick<EngineLayout, 'tasks' | 'headTasks'>): PlacedTile[] => [
  ...tasks.flat(2),
  ...headTasks,
];

/**
 * Tiles in the order in which they are computed: layers, their phases, key/value tiles before attention tiles; the head
 * last.
 */
export function executionOrder(spec: Pick<EngineSpec, 'layers'>, tiles: readonly TileShape[]): TileShape[] {
  const placeOf = (tile: TileShape): number[] => {
    const phase = phaseOf(spec, tile);
    return [phase === HEAD ? spec.layers.length : tile.layer, phase, orderOf(tile), tile.index];
  };
  const placed = tiles.map((tile) => ({ tile, place: placeOf(tile) }));
  const differing = (a: readonly number[], b: readonly number[]): number =>
    a.map((value, i) => value - b[i]!).find((difference) => difference !== 0) ?? 0;
  return placed.sort((a, b) => differing(a.place, b.place)).map(({ tile }) => tile);
}

/** Where tiles are: pinned ones each in a place of its own, streamed ones in the slots of a ring. */
export interface Placement {
  readonly plan: WindowPlan;
  /** The first slot. */
  readonly ring: Address;
  readonly shared: WindowShared | null;
}

/**
 * Gives every tile, cache and buffer its place.
 * @param ordered tiles in execution order, as the plan has them
 * @param threads workers
 */
export function placeEngine(
  spec: EngineSpec,
  ordered: readonly TileShape[],
  threads: number,
  arena: Pick<Arena, 'alloc'>,
  { plan, ring, shared }: Placement,
): EngineLayout {
  const tasks = spec.layers.map((phases) => phases.map((): PlacedTile[] => []));
  const headTasks: PlacedTile[] = [];
  for (const [i, shape] of ordered.entries()) {
    const { offsets, vectorOffsets, bytes } = tileLayout(shape);
    const stream = plan.stream[i]!;
    const address = stream === null ? arena.alloc(bytes) : ring + (stream % plan.slots) * plan.slotBytes;
    const at = (offset: number): Address => address + offset;
    const kvHeads = kvHeadsOf(spec, shape);
    const placed: PlacedTile = {
      ...{ shape, place: i, address, kvHeads, stream },
      matrices: offsets.map(at),
      vectors: vectorOffsets.map(at),
    };
    const phase = phaseOf(spec, shape);
    (phase === HEAD ? headTasks : tasks[shape.layer]![phase]!).push(placed);
  }
  return {
    spec,
    tasks,
    headTasks,
    kv: placeCaches(spec, ordered, arena),
    ...placeBuffers(spec, ordered, threads, arena),
    window: shared,
    occupants: createOccupants(ordered.length),
  };
}

/** Bytes of a page in the cache of a key/value tile's head. */
export function cachePageBytes(spec: Pick<EngineSpec, 'layers' | 'kv'>, tile: TileShape): number {
  return kvPageBytes(spec.kv, (phaseSpecOf(spec, tile) as AttentionSpec).headDim);
}

/** Gives the cache of each key/value head its place. */
export function placeCaches(
  spec: EngineSpec,
  tiles: readonly TileShape[],
  arena: Pick<Arena, 'alloc'>,
): ReadonlyMap<string, Address> {
  return new Map(
    tiles
      .filter(({ kind }) => kind === 'kv')
      .map((tile) => [kvKey(tile.layer, tile.first), arena.alloc(spec.kvPages * cachePageBytes(spec, tile))]),
  );
}
