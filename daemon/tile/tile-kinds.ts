import { type EngineSpec, HEAD, type Phase, type PhaseSpec } from '../engine/engine-spec.ts';
import { attention } from './kinds/attention.ts';
import { expert } from './kinds/expert.ts';
import { ffn } from './kinds/ffn.ts';
import { head } from './kinds/head.ts';
import { kv } from './kinds/kv.ts';
import { norm } from './kinds/norm.ts';
import { TILE_KINDS, type TileKind, type TileShape } from './tile.ts';
import type { TileRules, TileSizes } from './tile-rules.ts';

const RULES: Readonly<Record<TileKind, TileRules>> = { norm, kv, attention, ffn, expert, head };

type Named = Pick<TileShape, 'kind' | 'layer'>;

export const rulesOf = ({ kind }: Pick<TileShape, 'kind'>): TileRules => RULES[kind];

/** The phase that a tile is computed in; −1 where the model's layer has none for it. */
export function phaseOf({ layers }: Pick<EngineSpec, 'layers'>, tile: Named): Phase {
  const { phase } = rulesOf(tile);
  return phase === null ? HEAD : (layers[tile.layer] ?? []).findIndex(({ kind }) => kind === phase);
}

/** What a model says of a tile's phase. Rules of the head, which is in no layer, look at nothing of it. */
export function phaseSpecOf(spec: Pick<EngineSpec, 'layers'>, tile: Named): PhaseSpec {
  return spec.layers[tile.layer]![phaseOf(spec, tile)]!;
}

/** What a tile has to look like; null for one that the model cannot have. */
export function sizesOf(spec: EngineSpec, tile: TileShape): TileSizes | null {
  if (tile.layer >= spec.layers.length || phaseOf(spec, tile) < 0) return null;
  return rulesOf(tile).sizes(spec, phaseSpecOf(spec, tile), tile);
}

/** The key/value heads whose caches a tile reads or writes. */
export const kvHeadsOf = (spec: Pick<EngineSpec, 'layers'>, tile: TileShape): readonly number[] =>
  rulesOf(tile).kvHeads(phaseSpecOf(spec, tile), tile);

/** The place of a kind in the order in which those of a phase are computed. */
export const orderOf = ({ kind }: Pick<TileShape, 'kind'>): number => TILE_KINDS.indexOf(kind);
