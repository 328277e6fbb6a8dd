import type { ExpertsSpec } from '../../engine/engine-spec.ts';
import { networkRules, networkSizes, prepareNetwork } from '../network-rules.ts';
import type { TileRules } from '../tile-rules.ts';

/** The network that a tile is of, as its columns are counted over all of them, the shared one last. */
export const networkOf = ({ experts, ffDim }: Pick<ExpertsSpec, 'experts' | 'ffDim'>, first: number): number =>
  Math.min(Math.floor(first / ffDim), experts);

/** `count` columns of one network of a mixture from `first` on, counted over all networks. */
export const expert: TileRules<ExpertsSpec> = {
  phase: 'experts',
  ...networkRules,

  sizes(spec, phase, { first, count }) {
    const { experts, ffDim, sharedFfDim } = phase;
    const network = networkOf(phase, first);
    const end = network === experts ? experts * ffDim + sharedFfDim : (network + 1) * ffDim;
    return first + count > end ? null : networkSizes(spec, phase, count);
  },

  prepare: (kernels, _spec, phase, places) => prepareNetwork(kernels, phase, places, places.gathered),
};
