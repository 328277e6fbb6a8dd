import { type Account, accountBetween } from '../coordinator/cluster/accounting.ts';

/** Where the time of a step, or of several, went, in milliseconds. */
export interface TimeDivision {
  /** The coordinator computed its share of the layers, and the head. */
  readonly own_compute_ms: number;
  /** The device that computed longest; 0 without any. */
  readonly remote_compute_ms: number;
  /** For which the coordinator waited for phases beyond what the slower of both computed. */
  readonly star_ms: number;
  /** The coordinator did anything else: embeddings, norms, residuals, choosing a token. */
  readonly coordinator_ms: number;
}

/**
 * What happened between two accounts of a cluster.
 * @param ms that passed in between
 * @param parts of equal size, such as tokens, of one of which the result is
 */
export function divideTime(before: Account, after: Account, ms: number, parts: number): TimeDivision {
  const { critical, devices } = accountBetween(before, after);
  const [own = 0, ...remote] = devices.map(({ computeMs }) => computeMs);
  const slowest = Math.max(0, ...remote);
  const phases = critical.compute + critical.disk + critical.network;
  return {
    own_compute_ms: own / parts,
    remote_compute_ms: slowest / parts,
    star_ms: (phases - Math.max(own, slowest)) / parts,
    coordinator_ms: (ms - phases) / parts,
  };
}
