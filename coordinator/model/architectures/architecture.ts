import type { Treatment } from '../metadata-keys.ts';
import type { ModelSource } from '../model-source.ts';
import type { ModelSpec } from '../spec.ts';

/** What differs from architecture to architecture; scales are 1 and caps 0 where nothing is said of them. */
export type ArchitectureSpec = Pick<ModelSpec, 'dim' | 'contextLength' | 'rmsEps' | 'ropes' | 'layers'> &
  Partial<Pick<ModelSpec, 'embeddingScale' | 'logitScale' | 'logitCap'>>;

/** What is to be known of an architecture; a file each, and nothing outside it knows the architecture's name. */
export interface Architecture {
  /**
   * What is done about metadata keys, without the architecture's name in front, where it differs from
   * ARCHITECTURE_KEYS.
   */
  readonly keys: Readonly<Record<string, Treatment>>;
  /**
   * @throws StarlingError model_invalid, model_unsupported_architecture, model_unsupported_tensor_type, and those of
   * reading
   */
  read(source: ModelSource): Promise<ArchitectureSpec>;
}
