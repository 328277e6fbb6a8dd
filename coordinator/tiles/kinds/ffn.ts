import type { FeedForwardPhase } from '../../model/spec.ts';
import { networkCuts, networkRuns } from '../network-cuts.ts';
import type { TileCuts } from '../tile-cuts.ts';

/** Runs of whole blocks of feed-forward columns. */
export const ffn: TileCuts<FeedForwardPhase> = {
  tiles: (model, phase, layer, cols) =>
    networkRuns(model, phase, cols).map((run, index) => ({ ...{ kind: 'ffn', layer, index }, ...run })),

  cuts: (phase, { first, count }) => networkCuts(phase, first, count),
};
