import { toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { Account } from './accounting.ts';
import { type Drift, driftText } from './drift.ts';
import type { Plan } from './planner/plan.ts';
import { type Move, moveText } from './replan.ts';

/** What computes, as Cluster does. */
export interface Movable {
  drifts(): readonly Drift[];
  correct(drifts: readonly Drift[]): void;
  considerMove(busy: number, texts: number): Move | null;
  move(plan: Plan): Promise<void>;
  account(): Pick<Account, 'ms'>;
}

export interface ReplannerOptions {
  readonly cluster: Movable;
  /** The texts that it computes; see Generator. */
  readonly texts: {
    readonly load: { readonly waiting: number; readonly running: number };
    rebuild(work: () => Promise<void>): Promise<void>;
  };
  readonly log: Logger;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

const LOOK_MS = 5000;
/** How far back it is looked how much was computed. */
const RECENT_MS = 300_000;
/** Without a quiet moment for so long, texts that are under way are interrupted. */
const PATIENCE_MS = 600_000;
/** Between two times that a move is considered: each time twice as long as before, so that tiles do not go to and fro, */
const FIRST_PAUSE_MS = 120_000;
const LONGEST_PAUSE_MS = 3_600_000;
/** and, when no device has drifted for so long, as in the beginning. */
const CALM_MS = 2 * LONGEST_PAUSE_MS;

/** Watches whether devices are still as they were planned with, and has the cluster go over to a plan that pays. */
export class Replanner {
  readonly #options: ReplannerOptions;
  readonly #now: () => number;
  /** How long steps had taken in all, at some times. */
  readonly #recent: { readonly at: number; readonly ms: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  /** Since when devices have been known to be other than the running plan was made for; null where they are not. */
  #changedAt: number | null = null;
  #driftedAt = Number.NEGATIVE_INFINITY;
  #notBefore = Number.NEGATIVE_INFINITY;
  #pauseMs = FIRST_PAUSE_MS;

  constructor(options: ReplannerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (this.#isLooking) return;
      this.#isLooking = true;
      this.look()
        .catch((thrown: unknown) => this.#options.log.error(toStarlingError(thrown).message))
        .finally(() => {
          this.#isLooking = false;
        });
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** A move that is under way goes on to its end. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Looks once, and returns when what comes of it is done. */
  async look(): Promise<void> {
    const { cluster, texts, log } = this.#options;
    const now = this.#now();
    const busy = this.#busy(now);
    const drifts = cluster.drifts();
    if (drifts.length > 0) {
      for (const drift of drifts) log.info({ device: drift.name, drift }, driftText(drift));
      cluster.correct(drifts);
      this.#changedAt ??= now;
      if (now - this.#driftedAt > CALM_MS) this.#pauseMs = FIRST_PAUSE_MS;
      this.#driftedAt = now;
    }
    if (this.#changedAt === null || now < this.#notBefore) return;
    const { waiting, running } = texts.load;
    if (waiting + running > 0 && now - this.#changedAt < PATIENCE_MS) return;
    this.#notBefore = now + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    const move = cluster.considerMove(busy, running);
    if (move === null) {
      this.#changedAt = null;
      return;
    }
    log.info(moveText(move));
    if (move.pays) await this.#move(move);
  }

  async #move({ plan }: Move): Promise<void> {
    const { cluster, texts, log } = this.#options;
    const started = this.#now();
    try {
      await texts.rebuild(() => cluster.move(plan));
      this.#changedAt = null;
      log.info(`moved in ${((this.#now() - started) / 1000).toFixed(1)} s`);
    } catch (thrown) {
      const { code, message } = toStarlingError(thrown);
      log.error({ code }, `the tiles could not be moved: ${message}`);
    }
  }

  /** The part of the time that was lately spent in steps. */
  #busy(now: number): number {
    const { ms } = this.#options.cluster.account();
    this.#recent.push({ at: now, ms });
    while (this.#recent.length > 2 && now - this.#recent[1]!.at >= RECENT_MS) this.#recent.shift();
    const [first] = this.#recent;
    return first === undefined || now <= first.at ? 0 : Math.min(1, (ms - first.ms) / (now - first.at));
  }
}
