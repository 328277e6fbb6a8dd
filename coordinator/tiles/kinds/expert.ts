import { networkOf } from '../../../daemon/tile/kinds/expert.ts';
import type { ExpertsPhase, Network } from '../../model/spec.ts';
import { networkCuts, networkRuns } from '../network-cuts.ts';
import type { TileCuts } from '../tile-cuts.ts';
import { LEAST_TILES } from '../tile-sizes.ts';

/**
 * Each network is cut into so many tiles, where blocks allow: dealt out to a few devices, it is on all of them alike,
 * whichever rows use it.
 */
const LEAST_OF_NETWORK = 4;

/**
 * Runs of whole blocks of each network's columns, counted over all networks; as many as let those that a row uses be
 * shared.
 */
export const expert: TileCuts<ExpertsPhase> = {
  tiles(model, phase, layer, cols) {
    const least = Math.max(LEAST_OF_NETWORK, Math.ceil(LEAST_TILES / phase.routing.used));
    return networksOf(phase)
      .flatMap((network, number) =>
        networkRuns(model, network, cols, least).map((run) => ({ ...run, first: firstOf(phase, number) + run.first })),
      )
      .map((run, index) => ({ ...{ kind: 'expert', layer, index }, ...run }));
  },

  cuts(phase, { first, count }) {
    const number = networkOf({ experts: phase.experts.length, ffDim: widthOf(phase) }, first);
    return networkCuts(networksOf(phase)[number]!, first - firstOf(phase, number), count);
  },
};

/** Columns of each expert. */
export const widthOf = ({ experts }: ExpertsPhase): number => experts[0]!.gate.weight.rows;

const networksOf = ({ experts, shared }: ExpertsPhase): readonly Network[] =>
  shared === null ? experts : [...experts, shared];

const firstOf = (phase: ExpertsPhase, network: number): number => network * widthOf(phase);
