import { type ErrorCode, StarlingError } from '../../daemon/errors.ts';
import type { TileStore } from '../../daemon/store/tile-store.ts';
import type { ForwardPass } from '../forward-pass.ts';
import type { Account } from './accounting.ts';
import { type BringUpOptions, bringUp, type RunningPlan } from './bring-up.ts';
import type { LocalRank } from './local-rank.ts';
import type { OverlapReport } from './overlap.ts';
import type { LeftOut } from './planner/left-out.ts';
import type { Plan } from './planner/plan.ts';
import type { RemoteRank } from './remote-rank.ts';

export interface ClusterProgress {
  /** Reading the model file through and measuring devices come before there is a cluster. */
  readonly stage: 'checking' | 'measuring' | 'distributing' | 'loading';
  readonly done: number;
  readonly total: number;
}

export interface ClusterOptions extends BringUpOptions {
  readonly store: TileStore;
}

/** Who computes what, as people are told. */
export interface PlanHealth {
  /** What the plan expects: milliseconds of a token, and of a prompt of so many tokens. */
  readonly predicted: { readonly tokenMs: number; readonly promptMs: number; readonly promptTokens: number };
  /** Of a step with a row for each user that was planned for, lately; null before there were a few. */
  readonly measuredTokenMs: number | null;
  readonly leftOut: readonly LeftOut[];
}

/** A device that cannot store its tiles is left out. */
const STORE_IS_FULL: readonly ErrorCode[] = ['disk_full', 'store_limit_exceeded'];

/** A model spread over devices and ready to compute. */
export class Cluster {
  /** Devices reached over the network that compute a share. */
  readonly ranks: readonly RemoteRank[];
  /** Those for which the plan has no use. */
  readonly spare: readonly RemoteRank[];
  readonly #running: RunningPlan;
  readonly #isMeasured: boolean;
  readonly #endUse: () => Promise<void>;

  private constructor(running: RunningPlan, { ranks, measured }: BringUpOptions, use: () => Promise<void>) {
    const isUsed = ({ id }: RemoteRank): boolean => (running.plan.shares.get(id)?.length ?? 0) > 0;
    this.ranks = ranks.filter(isUsed);
    this.spare = ranks.filter((rank) => !isUsed(rank));
    this.#running = running;
    this.#isMeasured = measured !== undefined;
    this.#endUse = use;
  }

  /**
   * Plans, cuts, distributes and loads. Tiles that a device has already are not sent; one that it finds damaged is sent
   * again. A device that has no room for its tiles is left out, and the others share the model.
   * @throws StarlingError of any part; the ranks are then closed
   */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const { model, store, ownShare, log, signal } = options;
    // What is under way with a device may take a minute to give up by itself.
    const end = (): void => {
      for (const rank of options.ranks)
        rank.giveUp(new StarlingError('cancelled', 'ended while the model was brought up'));
    };
    if (signal?.aborted) end();
    signal?.addEventListener('abort', end, { once: true });
    let endUse = async (): Promise<void> => {};
    try {
      endUse = await store.use(model.id, model.spec.name);
      for (let ranks = options.ranks; ; ) {
        try {
          const attempt = { ...options, ranks };
          return new Cluster(await bringUp(attempt), attempt, endUse);
        } catch (error) {
          const full = ranks.filter(({ lostBecause }) => lostBecause && STORE_IS_FULL.includes(lostBecause.code));
          const rest = ranks.filter((rank) => !full.includes(rank));
          if (full.length === 0 || (rest.length === 0 && !ownShare)) throw error;
          for (const { name, lostBecause } of full) {
            log.warn({ device: name, code: lostBecause?.code }, `${name} is left out: ${lostBecause?.message}`);
          }
          for (const rank of rest) rank.unload();
          ranks = rest;
        }
      }
    } catch (error) {
      for (const rank of options.ranks) rank.close();
      await endUse();
      throw error;
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  get forward(): ForwardPass {
    return this.#running.forward;
  }

  /** This computer, which is the centre of the star. */
  get local(): LocalRank {
    return this.#running.local;
  }

  /** Who computes what, and what that was expected to take. */
  get plan(): Plan {
    return this.#running.plan;
  }

  /** Devices that compute a share of the layers. */
  get devices(): number {
    const { shares } = this.plan;
    return [...shares.values()].filter((share) => share.some(({ kind }) => kind !== 'head')).length;
  }

  /** Each device that computes, and whether it is there. */
  health(): { readonly id: string; readonly name: string; readonly state: 'ready' | 'lost' }[] {
    const { id, name } = this.local;
    const isOwn = this.plan.shares.get(id)?.some(({ kind }) => kind !== 'head') ?? false;
    return [
      ...(isOwn ? [{ id, name, state: 'ready' as const }] : []),
      ...this.ranks.map(({ id, name, lost }) => ({ id, name, state: lost ? ('lost' as const) : ('ready' as const) })),
    ];
  }

  /** What the plan expects beside what is measured; null where devices were taken to be equal. */
  planHealth(): PlanHealth | null {
    if (!this.#isMeasured) return null;
    const { predicted, leftOut } = this.plan;
    return { predicted, leftOut, measuredTokenMs: this.#running.tokenTimes.ms };
  }

  /** What the devices took so far: this one first, whether or not it has a share of the layers. */
  account(): Account {
    return this.#running.accounting.snapshot();
  }

  /** Which steps are halved; null where none ever is. */
  overlap(): OverlapReport | null {
    return this.#running.overlap?.report() ?? null;
  }

  async stop(): Promise<void> {
    for (const rank of [...this.ranks, ...this.spare]) rank.close();
    await this.local.stop();
    await this.#endUse();
  }
}
