/** A model in a store, as far as it matters for making room. */
export interface EvictionCandidate {
  readonly modelId: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
  /** Whether a process computes with it. */
  readonly inUse: boolean;
}

/**
 * The models to remove so that `bytes` become free: those used least recently, none that is in use.
 * @param keep a model that is not removed
 * @returns null when that is not enough
 */
export function modelsToEvict(models: readonly EvictionCandidate[], keep: string, bytes: number): string[] | null {
  const candidates = models
    .filter(({ modelId, inUse }) => modelId !== keep && !inUse)
    .sort((a, b) => a.lastUsed - b.lastUsed);
  const evicted: string[] = [];
  let freed = 0;
  for (const { modelId, bytes: size } of candidates) {
    if (freed >= bytes) break;
    evicted.push(modelId);
    freed += size;
  }
  return freed >= bytes ? evicted : null;
}
