import { BLOCK, ROW_GROUP, roundUp } from '../../kernels/formats.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import type { PlacedMatrix } from '../../kernels/tile-work.ts';
import { type EngineSpec, type ExpertsSpec, type FeedForwardSpec, sumLimit } from '../engine/engine-spec.ts';
import type { TileShape } from './tile.ts';
import type { TilePlaces, TileSizes } from './tile-rules.ts';

/** A phase whose tiles are of gated networks. */
type NetworkSpec = FeedForwardSpec | ExpertsSpec;

/**
 * What tiles of gated networks have in common: columns of one network, their rows of its Wgate and Wup, and columns of
 * its Wdown. Vectors: biases of those rows.
 */
export const networkRules = {
  adds: true,
  innerWidth: ({ matrices }: TileShape): number => matrices[0]!.rows,
  kvHeads: () => [],
};

/** @param count columns of the network */
export function networkSizes({ dim, cols }: EngineSpec, { biased }: NetworkSpec, count: number): TileSizes {
  const width = roundUp(count, BLOCK);
  return {
    matrices: [
      [width, cols],
      [width, cols],
      [roundUp(dim, ROW_GROUP), width],
    ],
    vectors: biased ? [width, width] : [],
  };
}

/**
 * @param gathered room for the rows that use the network; null where all do
 * @returns what the kernels know the tile by
 */
export function prepareNetwork(
  kernels: Kernels,
  phase: NetworkSpec,
  { matrices, vectors, buffers }: TilePlaces,
  gathered: Address | null,
): number {
  const [gate, up, down] = matrices as [PlacedMatrix, PlacedMatrix, PlacedMatrix];
  const { activation, biased } = phase;
  return kernels.prepareFeedForward({
    ...{ gate, up, down, activation, buffers, limit: sumLimit(phase) },
    gateBias: biased ? vectors[0]! : null,
    upBias: biased ? vectors[1]! : null,
    gathered,
  });
}
