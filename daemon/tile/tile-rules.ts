import type { Address, Kernels } from '../../kernels/kernels.ts';
import type { PlacedMatrix, StepRows, TileBuffers } from '../../kernels/tile-work.ts';
import type { EngineBuffers } from '../engine/buffers.ts';
import type { AttentionSpec, EngineSpec, PhaseSpec } from '../engine/engine-spec.ts';
import type { TileShape } from './tile.ts';

/** Padded rows and columns of a tile's matrices, and lengths of its vectors. */
export interface TileSizes {
  readonly matrices: readonly (readonly [rows: number, cols: number])[];
  readonly vectors: readonly number[];
}

/** Where everything is that a tile needs in order to be computed by one thread. */
export interface TilePlaces {
  readonly shape: TileShape;
  readonly matrices: readonly PlacedMatrix[];
  readonly vectors: readonly Address[];
  /** First pages of the tile's key/value heads, in order. */
  readonly caches: readonly Address[];
  readonly buffers: TileBuffers;
  /** Room for the rows of an expert; null in a model without. */
  readonly gathered: Address | null;
  /** See EngineBuffers.factors. */
  readonly factors: EngineBuffers['factors'];
  /** The step's rows, with the rotary table of this number. */
  readonly step: (rope: number) => StepRows;
}

/** What is to be known of a kind of tile; a file each in kinds/. @typeParam Of the phases that have such tiles */
export interface TileRules<Of extends PhaseSpec = PhaseSpec> {
  /** The kind of phase that it is part of; of the head, which is no layer's, none. */
  readonly phase: Of['kind'] | null;
  /** Whether its results are added to the phase's sums. */
  readonly adds: boolean;
  /** What the tile has to look like; null for one that the model cannot have. */
  sizes(spec: EngineSpec, phase: Of, tile: TileShape): TileSizes | null;
  /** The padded width between the first products and the last; 0 where there is none. */
  innerWidth(tile: TileShape): number;
  /** The key/value heads whose caches the tile reads or writes. */
  kvHeads(phase: Of, tile: TileShape): readonly number[];
  /** Makes the tile ready. @returns what the kernels know it by; nothing where they take it as it is */
  prepare(kernels: Kernels, spec: EngineSpec, phase: Of, places: TilePlaces): number;
}

/** Key/value heads from that of the first query head to that of the last. */
export function kvHeadsOfQueries({ heads, kvHeads }: AttentionSpec, first: number, count: number): number[] {
  const group = heads / kvHeads;
  const from = Math.floor(first / group);
  return Array.from({ length: Math.ceil((first + count) / group) - from }, (_, i) => from + i);
}
