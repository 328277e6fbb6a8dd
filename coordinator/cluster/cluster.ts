import { type ErrorCode, StarlingError, toStarlingError } from '../../daemon/errors.ts';
import { KV_PAGE } from '../../kernels/formats.ts';
import type { LanguageModel, SequenceRows } from '../language-model.ts';
import type { Account } from './accounting.ts';
import { type BringUpOptions, carryOut, makePlan, prepareSite, type RunningPlan, type Site } from './bring-up.ts';
import { corrected, type Drift } from './drift.ts';
import type { LocalRank } from './local-rank.ts';
import type { OverlapReport } from './overlap.ts';
import type { LeftOut } from './planner/left-out.ts';
import type { Plan } from './planner/plan.ts';
import type { RemoteRank } from './remote-rank.ts';
import { considerMove, type Move, movedShares, type PlanningInput } from './replan.ts';

export interface ClusterProgress {
  /** Reading the model file through and measuring devices come before there is a cluster. */
  readonly stage: 'checking' | 'measuring' | 'distributing' | 'loading';
  readonly done: number;
  readonly total: number;
}

export type ClusterOptions = BringUpOptions;

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

/** A model spread over devices and ready to compute; who computes what may change between two steps. */
export class Cluster implements LanguageModel {
  readonly vocabSize: number;
  readonly dim: number;
  readonly #options: BringUpOptions;
  readonly #site: Site;
  readonly #endUse: () => Promise<void>;
  /** The devices as they are now known to be. */
  #input: PlanningInput;
  #running: Omit<RunningPlan, 'forward'>;
  /** What computes, or why nothing does. Nothing else holds it: a move frees the memory of its engine. */
  #forward: RunningPlan['forward'] | StarlingError;
  #moving: Promise<void> | undefined;
  #isStopping = false;

  private constructor(options: BringUpOptions, site: Site, running: RunningPlan, endUse: () => Promise<void>) {
    this.vocabSize = options.model.spec.vocabSize;
    this.dim = options.model.spec.dim;
    this.#options = options;
    this.#site = site;
    this.#endUse = endUse;
    this.#input = site.input;
    ({ forward: this.#forward, ...this.#running } = running);
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
    // Of bringing it up; nobody watches a move.
    let isUp = false;
    const onProgress = (progress: ClusterProgress): void => {
      if (!isUp) options.onProgress?.(progress);
    };
    try {
      endUse = await store.use(model.id, model.spec.name);
      for (let ranks = options.ranks; ; ) {
        const attempt = { ...options, ranks, onProgress };
        const site = prepareSite(attempt);
        try {
          const plan = await makePlan(attempt, site.input);
          const running = await carryOut(attempt, site, site.input, plan, new Set(plan.devices));
          isUp = true;
          return new Cluster(attempt, site, running, endUse);
        } catch (error) {
          await site.local.stop();
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

  get contextLength(): number {
    return Math.min(this.#options.contextLength, this.kvPages * KV_PAGE);
  }

  get kvPages(): number {
    return this.plan.kvPages;
  }

  async step(batch: readonly SequenceRows[], signal?: AbortSignal): Promise<Float32Array[]> {
    if (this.#forward instanceof StarlingError) throw this.#forward;
    return this.#forward.step(batch, signal);
  }

  /** Devices reached over the network that compute a share. */
  get ranks(): readonly RemoteRank[] {
    return this.#options.ranks.filter((rank) => this.#isUsed(rank));
  }

  /** Those for which the plan has no use. */
  get spare(): readonly RemoteRank[] {
    return this.#options.ranks.filter((rank) => !this.#isUsed(rank));
  }

  /** This computer, which is the centre of the star. */
  get local(): LocalRank {
    return this.#site.local;
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
    if (this.#options.measured === undefined) return null;
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

  /** How devices have lately differed from what is known of them, for long enough to count. */
  drifts(): readonly Drift[] {
    return this.#running.drift?.drifts ?? [];
  }

  /** Takes devices to be as they proved to be, and has them forget what they measured of themselves. */
  correct(drifts: readonly Drift[]): void {
    const { plan, drift: watch } = this.#running;
    const devices = this.#input.devices.map((device) => {
      const drift = drifts.find(({ id }) => id === device.id);
      if (drift === undefined) return device;
      const place = plan.devices.indexOf(device.id);
      return corrected(device, drift, plan.division.filter((counts) => counts[place]! > 0).length);
    });
    this.#input = { ...this.#input, devices };
    watch?.expect(this.#input, plan);
    for (const rank of this.ranks) if (!rank.lost && drifts.some(({ id }) => id === rank.id)) rank.forget();
  }

  /** See considerMove; null too where a device that computes is lost. */
  considerMove(busy: number, texts: number): Move | null {
    return considerMove({ ...this.#input, devices: this.#present() }, this.plan, busy, texts);
  }

  /**
   * Goes over to another plan. Devices whose share is the same go on with it; the others keep the tiles that they have,
   * and are sent those that they lack. Where that fails, the plan before is brought up again, or, without a device that it
   * needs, one for those that are left. No step may be under way, and nothing in the caches counts any more.
   * @throws StarlingError why the plan could not be carried out; where nothing else could, each step throws it too
   */
  move(plan: Plan): Promise<void> {
    this.#moving = this.#move(plan);
    return this.#moving;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const rank of this.#options.ranks) rank.close();
    await this.#moving?.catch(() => {});
    await this.local.stop();
    await this.#endUse();
  }

  async #move(plan: Plan): Promise<void> {
    const before = this.plan;
    const changing = movedShares(before, plan);
    this.#forward = new StarlingError('device_lost', 'tiles are just moved between devices');
    try {
      await this.#carryOut(plan, changing);
    } catch (thrown) {
      const error = toStarlingError(thrown);
      this.#forward = error;
      await this.#goBack(before, changing).catch((second: unknown) => {
        const { code, message } = toStarlingError(second);
        this.#options.log.error({ code }, `nothing else could be carried out either: ${message}`);
      });
      throw error;
    }
  }

  /** @param changed devices of which it is not known what they have loaded */
  async #goBack(before: Plan, changed: ReadonlySet<string>): Promise<void> {
    if (this.#isStopping) return;
    const isWhole = this.ranks.every(({ lost }) => !lost);
    const instead = isWhole ? before : await makePlan(this.#options, { ...this.#input, devices: this.#present() });
    await this.#carryOut(instead, new Set([...changed, ...movedShares(before, instead)]));
  }

  async #carryOut(plan: Plan, changing: ReadonlySet<string>): Promise<void> {
    const running = await carryOut(this.#options, this.#site, this.#input, plan, changing, this.account());
    ({ forward: this.#forward, ...this.#running } = running);
  }

  #isUsed({ id }: RemoteRank): boolean {
    return (this.plan.shares.get(id)?.length ?? 0) > 0;
  }

  /** Devices that are there. */
  #present(): PlanningInput['devices'] {
    const lost = this.#options.ranks.filter((rank) => rank.lost).map(({ id }) => id);
    return this.#input.devices.filter(({ id }) => !lost.includes(id));
  }
}
