import type { Engine, EngineUsage } from '../../daemon/engine/engine.ts';
import { inputFormat, PHASE } from '../../daemon/engine/engine-spec.ts';
import { type RowRange, rowsOf, type Step } from '../../daemon/engine/step.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { encodeStep } from '../../daemon/protocol/step-codec.ts';
import { Turns } from '../../daemon/turns.ts';
import type { Address } from '../../kernels/kernels.ts';
import { type Account, Accounting, accountBetween, type PhaseUsage } from './accounting.ts';
import type { Rank } from './rank.ts';

/**
 * The star allreduce: one broadcast of a phase's input, one exact sum of what all devices answer. The coordinator's own
 * engine is the centre and computes its share at the same time. Two phases may be under way at once, of different rows.
 */
export class Star {
  readonly engine: Engine;
  readonly #ranks: readonly Rank[];
  readonly #accounting: Accounting;
  readonly #onStep: (account: Account, rows: number) => void;
  #step = 0;
  #rows = 0;
  /** The step that is computed; `endedAt` once all its layers are, and again once its head is. */
  #current: { readonly begunAt: number; readonly before: Account; endedAt?: number } | undefined;
  #reported: EngineUsage;
  /** Phases that wait for the own engine. */
  readonly #turns = new Turns();
  /** When each rank last answered. */
  readonly #answered: number[];

  /** @param onStep told what each step took, when it has ended */
  constructor(engine: Engine, ranks: readonly Rank[], onStep: (account: Account, rows: number) => void = () => {}) {
    this.engine = engine;
    this.#ranks = ranks;
    this.#accounting = new Accounting(1 + ranks.length);
    this.#onStep = onStep;
    this.#reported = engine.usage;
    this.#answered = ranks.map(() => 0);
  }

  /** What the devices took so far: this one first, then the ranks. */
  account(): Account {
    return this.#accounting.snapshot();
  }

  beginStep(step: Step): void {
    this.#endStep();
    this.#current = { begunAt: performance.now(), before: this.account() };
    this.#step = (this.#step + 1) >>> 0;
    this.#rows = rowsOf(step);
    this.engine.beginStep(step);
    if (this.#ranks.length === 0) return;
    const payload = encodeStep(step);
    for (const rank of this.#ranks) rank.beginStep(payload, this.#step, this.#rows);
  }

  /**
   * Computes a phase for some rows of the step on all devices, from the engine's input. The devices get it at once, in the
   * order of these calls.
   * @returns f64 [row][cols]: the exact sums of the whole model, in the engine, valid until the next call for one of these rows
   * @throws StarlingError device_lost, device_error, numeric_overflow; after every device has answered or was given up
   */
  async allreduce(layer: number, phase: 0 | 1, rows: RowRange): Promise<Address> {
    const { engine } = this;
    const ranks = this.#ranks.filter((rank) => rank.hasTiles(layer, phase));
    const input = engine.inputBytes(inputFormat(engine.spec, layer, phase), rows);
    const begun = performance.now();
    const usages: PhaseUsage[] = [];
    const answers = ranks.map(async (rank) => {
      const { packed, usage } = await rank.compute({ step: this.#step, layer, phase, rows }, input);
      const place = this.#ranks.indexOf(rank);
      // It computes one phase at a time: what came before its last answer was spent on that.
      const from = Math.max(begun, this.#answered[place]!);
      this.#answered[place] = performance.now();
      usages.push({ ...usage, device: 1 + place, wallMs: this.#answered[place] - from });
      return packed;
    });
    const run = this.#turns.take(() => engine.run(layer, phase, rows));
    const [own, ...others] = await Promise.allSettled([run, ...answers]);
    if (own.status === 'rejected') throw own.reason;
    for (const [i, answer] of others.entries()) {
      if (answer.status === 'rejected') throw answer.reason;
      if (!engine.addPackedSums(own.value, answer.value, rows.count)) {
        throw new StarlingError('protocol_invalid_message', `${ranks[i]!.name} answered with sums that are malformed`);
      }
    }
    this.#accounting.addPhase([...usages, this.#ownUsage()]);
    const last = layer === engine.spec.layers.length - 1 && phase === PHASE.ffn;
    if (last && this.#current !== undefined) this.#current.endedAt = performance.now();
    return own.value;
  }

  /**
   * Computes the head, which ends a step that has one; see Engine.runHead.
   * @throws StarlingError when a tile cannot be had
   */
  async runHead(rows: number): Promise<Float32Array> {
    const logits = await this.engine.runHead(rows);
    this.#accounting.addPhase([this.#ownUsage()]);
    if (this.#current !== undefined) this.#current.endedAt = performance.now();
    this.#endStep();
    return logits;
  }

  /** What this device's engine has done since this was last asked. */
  #ownUsage(): PhaseUsage {
    const before = this.#reported;
    const now = this.engine.usage;
    this.#reported = now;
    const computeMs = now.computeMs - before.computeMs;
    const diskMs = now.diskMs - before.diskMs;
    return { device: 0, computeMs, diskMs, bytesRead: now.bytesRead - before.bytesRead, wallMs: computeMs + diskMs };
  }

  /** Counts the step, unless it was given up before all its layers were computed. */
  #endStep(): void {
    const step = this.#current;
    this.#current = undefined;
    if (step?.endedAt === undefined) return;
    this.#accounting.addStep(step.endedAt - step.begunAt);
    this.#onStep(accountBetween(step.before, this.account()), this.#rows);
  }
}
