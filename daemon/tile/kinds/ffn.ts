import type { FeedForwardSpec } from '../../engine/engine-spec.ts';
import { networkRules, networkSizes, prepareNetwork } from '../network-rules.ts';
import type { TileRules } from '../tile-rules.ts';

/** `count` feed-forward columns from `first` on. */
export const ffn: TileRules<FeedForwardSpec> = {
  phase: 'ffn',
  ...networkRules,
  sizes: (spec, phase, { count }) => networkSizes(spec, phase, count),
  prepare: (kernels, _spec, phase, places) => prepareNetwork(kernels, phase, places, null),
};
