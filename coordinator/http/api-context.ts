import type { Logger } from '../../daemon/log.ts';
import type { TextService } from '../generation/text-service.ts';

/** One device of the cluster as GET /health shows it. */
export interface DeviceHealth {
  readonly name: string;
  readonly state: string;
  readonly [detail: string]: unknown;
}

/** What the routes work with. */
export interface ApiContext {
  readonly service: TextService;
  readonly log: Logger;
  readonly devices: () => readonly DeviceHealth[];
  readonly keepAliveMs: number;
  readonly stalledClientMs: number;
  /** Seconds since 1970. */
  readonly unixTime: () => number;
  /** A seed for requests that bring none. */
  readonly randomSeed: () => number;
  /** A string that no other call returns. */
  readonly uniqueId: () => string;
  /** Aborts all requests when the server stops. */
  readonly shutdown: AbortSignal | undefined;
}
