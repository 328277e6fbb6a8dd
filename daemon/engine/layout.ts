import type { Arena } from '../../kernels/arena.ts';
import {
  type ActivationFormat,
  activationBytes,
  BLOCK,
  kvPageBytes,
  panelBytes,
  ROW_GROUP,
  roundUp,
} from '../../kernels/formats.ts';
import type { Address } from '../../kernels/kernels.ts';
import { type TileShape, tileLayout } from '../tile/tile.ts';
import { kvHeadsOf, orderOf, phaseOf, phaseSpecOf, rulesOf } from '../tile/tile-kinds.ts';
import {
  type AttentionSpec,
  type EngineSpec,
  type ExpertsSpec,
  HEAD,
  hasFactors,
  MAX_ROWS,
  type Phase,
  ropeValues,
} from './engine-spec.ts';
import { createOccupants, type Occupants } from './occupants.ts';
import { networksOf, routeBytes, slotsOf } from './routes.ts';
import type { WindowPlan } from './window-plan.ts';
import type { WindowShared } from './window-words.ts';

/** A tile with the addresses of its matrices. */
export interface PlacedTile {
  readonly shape: TileShape;
  /** Position in execution order: tiles of a phase follow each other. Another one may come to lie there: see Occupants. */
  readonly place: number;
  readonly address: Address;
  readonly matrices: readonly Address[];
  readonly vectors: readonly Address[];
  /** Key/value heads that an attention tile attends to, or that of a key/value tile. */
  readonly kvHeads: readonly number[];
  /** Place among the streamed tiles, which share the slots of the window; null for a tile that is always in memory. */
  readonly stream: number | null;
}

/** Buffers of one thread, each for MAX_ROWS rows. */
export interface ThreadBuffers {
  /** f32 [row][widest inner width of a tile]: queries or gate; and keys, values, up, attention output. */
  readonly inner: readonly [Address, Address];
  /** Rows of the inner width as a panel, in either activation format. */
  readonly innerPanel: Address;
  /** Rows of the input that an expert takes, as a panel; null in a model without experts. */
  readonly gathered: Address | null;
  /** f64 [row][cols]: exact sums over the tiles that the thread computed. */
  readonly sums: Address;
}

/** f32 [row][width]: logits of the vocabulary's rows from `first` on, as many as there are in tiles, padded to 8. */
export interface LogitsBuffer {
  readonly address: Address;
  readonly first: number;
  readonly width: number;
}

/** Which rows use which networks of a phase of experts. */
export interface RoutePlaces {
  /** As they came: for each row of the step, (network, weight) of each slot. */
  readonly given: Address;
  /** Most networks of a phase. */
  readonly networks: number;
  /** Grouped by network: see RouteLists. */
  readonly starts: Address;
  readonly rows: Address;
  readonly weights: Address;
  /** u32 places of the tiles that the phase computes, and for how many there is room. */
  readonly tasks: Address;
  readonly mostTasks: number;
}

/** Where everything of an engine is. Structured-cloneable: workers get it as it is. */
export interface EngineLayout {
  readonly spec: EngineSpec;
  /** Tasks of each layer's phases in the order in which they are claimed; key/value tiles come before attention tiles. */
  readonly tasks: readonly (readonly (readonly PlacedTile[])[])[];
  readonly headTasks: readonly PlacedTile[];
  /** First page of a key/value head's cache, by `${layer}/${kvHead}`. */
  readonly kv: ReadonlyMap<string, Address>;
  readonly positions: Address;
  /** u32 per row: where its page table starts, as an index into `pages`. */
  readonly tables: Address;
  readonly pages: Address;
  /** The rotary tables, each f32 [row][width], one after the other. */
  readonly ropes: readonly Address[];
  /** Null for a model without experts. */
  readonly routes: RoutePlaces | null;
  /** f32 [row] each: what the step's rows of queries and keys are normed by; null where no phase has such. */
  readonly factors: { readonly q: Address; readonly k: Address } | null;
  readonly inputF32: Address;
  readonly inputQ8: Address;
  /** The input of the rows that are computed, as panels. */
  readonly inputPanels: Readonly<Record<ActivationFormat, Address>>;
  /** Sums packed for the wire, at their longest (see Kernels.packSums). */
  readonly packed: Address;
  /** What the head tiles give; null without any. */
  readonly logits: LogitsBuffer | null;
  /** Of each worker, and last those of the thread that drives the engine. */
  readonly threads: readonly ThreadBuffers[];
  /** Widest inner width over all tiles; row strides of the inner buffers. */
  readonly innerWidth: number;
  /** What the threads share about the ring of slots; null when every tile is in memory. */
  readonly window: WindowShared | null;
  readonly occupants: Occupants;
}

/** Most bytes of `cols` packed sums: a width byte and 32 sums of 8 bytes a block. */
export const packedBytes = (cols: number): number => (cols / BLOCK) * (1 + BLOCK * 8);

export const kvKey = (layer: number, kvHead: number): string => `${layer}/${kvHead}`;

/** u32 page ids that the table holds: every row may be a sequence of its own. */
export const pageTableCapacity = (spec: EngineSpec): number => MAX_ROWS * spec.kvPages;

export function tasksOf(layout: EngineLayout, layer: number, phase: Phase): readonly PlacedTile[] {
  return phase === HEAD ? layout.headTasks : layout.tasks[layer]![phase]!;
}

/** All tiles, each at its place. */
export const tilesOf = ({ tasks, headTasks }: Pick<EngineLayout, 'tasks' | 'headTasks'>): PlacedTile[] => [
  ...tasks.flat(2),
  ...headTasks,
];

/** Tiles in the order in which they are computed: layers, their phases, key/value tiles before attention tiles; the head last. */
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

/** Gives what is neither tile nor cache its place. */
export function placeBuffers(
  spec: EngineSpec,
  tiles: readonly TileShape[],
  threads: number,
  arena: Pick<Arena, 'alloc'>,
): Omit<EngineLayout, 'spec' | 'tasks' | 'headTasks' | 'kv' | 'window' | 'occupants'> {
  const innerWidth = roundUp(
    tiles.reduce((most, tile) => Math.max(most, rulesOf(tile).innerWidth(tile)), 32),
    32,
  );
  const rows = (bytes: number): Address => arena.alloc(MAX_ROWS * bytes);
  const panel = (format: ActivationFormat, cols: number): Address => arena.alloc(panelBytes(format, cols, MAX_ROWS));
  const hasExperts = spec.layers.flat().some(({ kind }) => kind === 'experts');
  const hasAllNormed = spec.layers.some((phases, layer) => phases.some((_, phase) => hasFactors(spec, layer, phase)));
  return {
    positions: rows(4),
    tables: rows(4),
    pages: arena.alloc(pageTableCapacity(spec) * 4),
    ropes: placeRopes(spec, rows(ropeValues(spec) * 4)),
    routes: placeRoutes(spec, tiles, arena),
    factors: hasAllNormed ? { q: rows(4), k: rows(4) } : null,
    inputF32: rows(spec.cols * 4),
    inputQ8: rows(activationBytes('q8', spec.cols)),
    inputPanels: { f32: panel('f32', spec.cols), q8: panel('q8', spec.cols) },
    packed: rows(packedBytes(spec.cols)),
    logits: placeLogits(tiles, rows),
    threads: Array.from({ length: threads + 1 }, () => ({
      inner: [rows(innerWidth * 4), rows(innerWidth * 4)] as const,
      innerPanel: panel('f32', innerWidth),
      gathered: hasExperts ? panel('f32', spec.cols) : null,
      sums: rows(spec.cols * 8),
    })),
    innerWidth,
  };
}

function placeRopes({ ropes }: EngineSpec, first: Address): Address[] {
  let end = first;
  return ropes.map((width) => {
    const at = end;
    end += MAX_ROWS * width * 4;
    return at;
  });
}

function placeRoutes(spec: EngineSpec, tiles: readonly TileShape[], arena: Pick<Arena, 'alloc'>): RoutePlaces | null {
  const phases = spec.layers.flat().filter((phase): phase is ExpertsSpec => phase.kind === 'experts');
  if (phases.length === 0) return null;
  const most = (of: (phase: ExpertsSpec) => number): number => Math.max(...phases.map(of));
  const uses = MAX_ROWS * most(slotsOf);
  const perLayer = new Map<number, number>();
  for (const { kind, layer } of tiles) if (kind === 'expert') perLayer.set(layer, (perLayer.get(layer) ?? 0) + 1);
  const mostTasks = Math.max(1, ...perLayer.values());
  return {
    given: arena.alloc(MAX_ROWS * most(routeBytes)),
    networks: most(networksOf),
    starts: arena.alloc((most(networksOf) + 1) * 4),
    rows: arena.alloc(uses * 4),
    weights: arena.alloc(uses * 4),
    tasks: arena.alloc(mostTasks * 4),
    mostTasks,
  };
}

function placeLogits(tiles: readonly TileShape[], rows: (bytes: number) => Address): LogitsBuffer | null {
  const head = tiles.filter(({ kind }) => kind === 'head');
  if (head.length === 0) return null;
  const first = Math.min(...head.map((tile) => tile.first));
  const width = roundUp(Math.max(...head.map((tile) => tile.first + tile.count)) - first, ROW_GROUP);
  return { address: rows(width * 4), first, width };
}
