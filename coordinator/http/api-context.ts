import type { Logger } from '../../daemon/log.ts';
import type { Batches } from '../batches/batches.ts';
import type { Account } from '../cluster/accounting.ts';
import type { PlanHealth } from '../cluster/cluster.ts';
import type { OverlapReport } from '../cluster/overlap.ts';
import type { TextService } from '../generation/text-service.ts';
import type { ModelFacts } from '../model-facts.ts';
import type { Authentication } from './authentication.ts';
import type { ResponseStore } from './dialects/openai/responses/response-store.ts';
import type { RequestScopes } from './request-scope.ts';
import type { UnknownNames } from './unknown-names.ts';

/** One device of the cluster as GET /health shows it. */
export interface DeviceHealth {
  /** Names need not differ. */
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly [detail: string]: unknown;
}

/** What the devices of the cluster took so far. */
export interface ClusterUsage {
  readonly account: Account;
  /** Which steps are computed as two half-batches; null where none ever is. */
  readonly overlap: OverlapReport | null;
}

/** What the routes work with. */
export interface ApiContext {
  readonly service: TextService;
  readonly facts: ModelFacts;
  readonly log: Logger;
  readonly authentication: Authentication;
  /** Null where there are none. */
  readonly batches: Batches | null;
  readonly devices: () => readonly DeviceHealth[];
  /** Null where devices were taken to be equal. */
  readonly plan: () => PlanHealth | null;
  readonly usage: () => ClusterUsage | null;
  readonly keepAliveMs: number;
  readonly stalledClientMs: number;
  /** Seconds since 1970. */
  readonly unixTime: () => number;
  /** A seed for requests that bring none. */
  readonly randomSeed: () => number;
  /** A string that no other call returns. */
  readonly uniqueId: () => string;
  readonly unknownFields: UnknownNames;
  /** Of POST /v1/responses. */
  readonly responses: ResponseStore;
  /** The requests under way. */
  readonly scopes: RequestScopes;
}
