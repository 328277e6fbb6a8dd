import type { ModelSource } from '../model-source.ts';
import type { ModelSpec } from '../spec.ts';

/** What an architecture's file says of a model; the rest is alike in all. */
export type ArchitectureSpec = Pick<ModelSpec, 'dim' | 'contextLength' | 'rmsEps' | 'ropes' | 'layers'>;

/** What is to be known of an architecture; a file each, and nothing outside it knows the architecture's name. */
export interface Architecture {
  /** @throws StarlingError model_invalid, model_unsupported_architecture, model_unsupported_tensor_type, and those of reading */
  read(source: ModelSource): Promise<ArchitectureSpec>;
}
