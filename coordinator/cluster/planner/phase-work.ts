import {
  type AttentionSpec,
  type EngineSpec,
  HEAD,
  inputFormat,
  MAX_ROWS,
  type Phase,
  type PhaseSpec,
} from '../../../daemon/engine/engine-spec.ts';
import { cachePageBytes } from '../../../daemon/engine/layout.ts';
import { networksOf, routeBytes, slotsOf } from '../../../daemon/engine/routes.ts';
import type { TileShape } from '../../../daemon/tile/tile.ts';
import { phaseOf, rulesOf } from '../../../daemon/tile/tile-kinds.ts';
import { activationBytes, KV_PAGE, matrixBytes, type WeightFormat } from '../../../kernels/formats.ts';

/** Bytes of weights by their format. */
export type WeightBytes = readonly (readonly [format: WeightFormat, bytes: number])[];

/** One phase of a pass, as far as who computes it matters. */
export interface PhaseWork {
  readonly layer: number;
  readonly phase: Phase;
  readonly kind: PhaseSpec['kind'] | 'head';
  /** Tiles that are given out, in the order of the table: devices have runs of them. */
  readonly tiles: readonly TileShape[];
  /** Of a tile in the middle: they differ by a block at most. */
  readonly weights: WeightBytes;
  /** Of attention: what comes along with the tiles that read it. */
  readonly kv: KvWork | null;
  /** Of experts: how many networks there are, and how many a row uses. */
  readonly routed: { readonly networks: number; readonly used: number } | null;
  /** Bytes a row to each device, and back from it; and back for each tile that it has. */
  readonly inputBytes: number;
  readonly answerBytes: number;
  readonly tileAnswerBytes: number;
  /** The first phase of the pass that takes the same time when it is divided in the same way; perhaps this one. */
  readonly like: number;
}

export interface KvWork {
  /** One for each key/value head, in their order. */
  readonly tiles: readonly TileShape[];
  readonly weights: WeightBytes;
  /** Query heads of a tile, and of a key/value head. */
  readonly tileHeads: number;
  readonly group: number;
  /** Bytes of a position in the cache of one key/value head. */
  readonly positionBytes: number;
  /** Positions that a row sees at most; 0 for all. */
  readonly window: number;
}

/** Of a sum on its way back: between 3 and 4 bytes for activations as models have them (packed-sums.ts). */
const SUM_BYTES = 3.5;

/** The phases of a pass in their order, the head last. */
export function phaseWorks(
  tiles: readonly TileShape[],
  engine: Pick<EngineSpec, 'layers' | 'cols' | 'head' | 'kv'>,
): PhaseWork[] {
  const byPhase = new Map<number, { adding: TileShape[]; kv: TileShape[] }>();
  const key = (layer: number, phase: Phase): number => (phase === HEAD ? engine.layers.length : layer) * 8 + phase;
  for (const tile of tiles) {
    const at = key(tile.layer, phaseOf(engine, tile));
    const found = byPhase.get(at) ?? { adding: [], kv: [] };
    byPhase.set(at, found);
    (rulesOf(tile).adds || tile.kind === 'head' ? found.adding : found.kv).push(tile);
  }
  const firsts = new Map<string, number>();
  return [...byPhase.entries()]
    .sort(([a], [b]) => a - b)
    .map(([at, { adding, kv }], p) => {
      const phase = at % 8;
      const layer = phase === HEAD ? 0 : Math.floor(at / 8);
      const { signature, ...work } = phaseWork(engine, layer, phase, adding, kv);
      const like = firsts.get(signature) ?? p;
      firsts.set(signature, like);
      return { ...work, like };
    });
}

function phaseWork(
  engine: Pick<EngineSpec, 'layers' | 'cols' | 'head' | 'kv'>,
  layer: number,
  phase: Phase,
  tiles: readonly TileShape[],
  kvTiles: readonly TileShape[],
): Omit<PhaseWork, 'like'> & { readonly signature: string } {
  const spec = phase === HEAD ? null : engine.layers[layer]![phase]!;
  const format = inputFormat(engine as EngineSpec, layer, phase);
  const routes = spec?.kind === 'experts' ? routeBytes(spec) : 0;
  const work = {
    kind: spec?.kind ?? ('head' as const),
    weights: weightsOf(tiles),
    kv: spec?.kind === 'attention' ? kvWork(engine, spec, tiles, kvTiles) : null,
    routed: spec?.kind === 'experts' ? { networks: networksOf(spec), used: slotsOf(spec) } : null,
    inputBytes: activationBytes(format, engine.cols) + routes,
    answerBytes: spec === null ? 0 : engine.cols * SUM_BYTES,
    tileAnswerBytes: spec === null ? (tiles[0]?.count ?? 0) * 4 : 0,
  };
  const { kv, ...plain } = work;
  const kvKey = kv === null ? null : { ...kv, tiles: kv.tiles.length };
  return { ...work, layer, phase, tiles, signature: JSON.stringify([plain, kvKey, tiles.length]) };
}

function kvWork(
  engine: Pick<EngineSpec, 'layers' | 'kv'>,
  { heads, kvHeads, window }: AttentionSpec,
  tiles: readonly TileShape[],
  kvTiles: readonly TileShape[],
): KvWork {
  return {
    tiles: kvTiles,
    weights: weightsOf(kvTiles),
    tileHeads: tiles[0]?.count ?? 1,
    group: heads / kvHeads,
    positionBytes: kvTiles[0] === undefined ? 0 : cachePageBytes(engine, kvTiles[0]) / KV_PAGE,
    window,
  };
}

/** On average over tiles. */
function weightsOf(tiles: readonly TileShape[]): WeightBytes {
  const bytes = new Map<WeightFormat, number>();
  for (const { matrices } of tiles) {
    for (const { format, rows, cols } of matrices)
      bytes.set(format, (bytes.get(format) ?? 0) + matrixBytes(format, rows, cols) / tiles.length);
  }
  return [...bytes];
}

/** Key/value heads that a run of attention tiles reads. */
export function kvHeadsOfRun({ tileHeads, group }: KvWork, first: number, count: number): [from: number, end: number] {
  if (count === 0) return [0, 0];
  return [Math.floor((first * tileHeads) / group), Math.ceil(((first + count) * tileHeads) / group)];
}

/** The part of a phase's tiles that rows use: of experts, those of the networks that some row is routed to. */
export function usedPart({ routed }: PhaseWork, rows: number): number {
  if (routed === null) return 1;
  return 1 - (1 - Math.min(1, routed.used / routed.networks)) ** Math.min(rows, MAX_ROWS);
}
