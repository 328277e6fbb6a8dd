import type { Arena } from '../../kernels/arena.ts';
import {
  type ActivationFormat,
  activationBytes,
  BLOCK,
  panelBytes,
  ROW_GROUP,
  roundUp,
} from '../../kernels/formats.ts';
import type { Address } from '../../kernels/kernels.ts';
import type { TileShape } from '../tile/tile.ts';
import { rulesOf } from '../tile/tile-kinds.ts';
import { type EngineSpec, type ExpertsSpec, hasFactors, MAX_ROWS, ropeValues } from './engine-spec.ts';
import { networksOf, routeBytes, slotsOf } from './routes.ts';

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

/** Where an engine has what is neither tile nor cache. */
export interface EngineBuffers {
  readonly positions: Address;
  /** u32 per row: where its page table starts, as an index into `pages`. */
  readonly tables: Address;
  /** u32 page ids: every row may be a sequence of its own. */
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
}

/** Most bytes of `cols` packed sums: a width byte and 32 sums of 8 bytes a block. */
export const packedBytes = (cols: number): number => (cols / BLOCK) * (1 + BLOCK * 8);

/** Gives what is neither tile nor cache its place. */
export function placeBuffers(
  spec: EngineSpec,
  tiles: readonly TileShape[],
  threads: number,
  arena: Pick<Arena, 'alloc'>,
): EngineBuffers {
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
    pages: rows(spec.kvPages * 4),
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
