/** What an engine has done so far. */
export interface EngineUsage {
  /** Computing, on average over the threads. */
  readonly computeMs: number;
  /** Waiting for tiles from disk, on average over the threads. */
  readonly diskMs: number;
  readonly bytesRead: number;
}

/** What an engine did in two times together. */
export const usageSum = (a: EngineUsage, b: EngineUsage): EngineUsage => ({
  computeMs: a.computeMs + b.computeMs,
  diskMs: a.diskMs + b.diskMs,
  bytesRead: a.bytesRead + b.bytesRead,
});

/** What an engine did between two readings of its usage. */
export const usageBetween = (before: EngineUsage, after: EngineUsage): EngineUsage => ({
  computeMs: after.computeMs - before.computeMs,
  diskMs: after.diskMs - before.diskMs,
  bytesRead: after.bytesRead - before.bytesRead,
});
