import type { ModelSource } from '../model-source.ts';
import type { ModelPhase } from '../spec.ts';
import type { ArchitectureSpec } from './architecture.ts';
import { type ExpertsOptions, expertsPhase, readExpertSizes } from './experts.ts';
import { type AttentionOptions, attentionPhase, type FeedForwardOptions, feedForwardPhase } from './phases.ts';
import { readDims, readRope } from './rope.ts';
import { layersOf, readSizes, type Sizes } from './sizes.ts';

/** Attention that is the same in all layers. */
export interface AlikeAttention extends Omit<AttentionOptions, 'halves' | 'ropes'> {
  /** Whether rotary pairs are stored as halves (see AttentionOptions.halves), of all dimensions that are turned. */
  readonly halved: boolean;
}

/**
 * A model whose layers are all attention and then a feed-forward network, with one rotary table.
 * @throws as Architecture.read
 */
export async function readDense(
  source: ModelSource,
  attention: AlikeAttention,
  feedForward: FeedForwardOptions = {},
): Promise<ArchitectureSpec> {
  const sizes = readSizes(source);
  return readAlike(source, sizes, attention, (layer) => feedForwardPhase(source, layer, sizes, feedForward));
}

/** The same with a mixture of experts in place of the network. @throws as Architecture.read */
export async function readMixture(
  source: ModelSource,
  attention: AlikeAttention,
  options: ExpertsOptions,
): Promise<ArchitectureSpec> {
  const sizes = readSizes(source, 1);
  const experts = readExpertSizes(source, sizes.dim);
  return readAlike(source, sizes, attention, (layer) => expertsPhase(source, layer, experts, options));
}

async function readAlike(
  source: ModelSource,
  sizes: Sizes,
  { halved, ...attention }: AlikeAttention,
  networkOf: (layer: number) => ModelPhase,
): Promise<ArchitectureSpec> {
  const pairs = halved ? { halves: { dims: readDims(source, sizes.headDim) } } : {};
  return {
    ...sizes,
    ropes: [await readRope(source, sizes.headDim)],
    layers: layersOf(sizes, (layer) => [
      attentionPhase(source, layer, sizes, { ...attention, ...pairs }),
      networkOf(layer),
    ]),
  };
}
