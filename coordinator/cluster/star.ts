import { BufferPool } from '../../daemon/buffer-pool.ts';
import type { Engine } from '../../daemon/engine/engine.ts';
import { HEAD, isLastPhase, type Phase } from '../../daemon/engine/engine-spec.ts';
import { type RowRange, rowsOf, type Step } from '../../daemon/engine/step.ts';
import { type EngineUsage, usageBetween } from '../../daemon/engine/usage.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { Poller, type Wait } from '../../daemon/protocol/poller.ts';
import { encodeStep, type PhaseOfStep, waitKind } from '../../daemon/protocol/star-codec.ts';
import { Turns } from '../../daemon/turns.ts';
import { roundUp } from '../../kernels/formats.ts';
import type { Address } from '../../kernels/kernels.ts';
import type { Accounting, PhaseUsage } from './accounting.ts';
import type { Allreduce } from './allreduce.ts';
import type { Leaf, TakeRows } from './rank.ts';

/** A device of the star with what is known of its part in the head. */
export interface StarLeaf {
  readonly leaf: Leaf;
  /** The first token of its part of the vocabulary, and how many there are; none without head tiles. */
  readonly head: { readonly first: number; readonly count: number };
}

export interface StarOptions {
  /** The own device's, at the centre: inputs and sums are in it. */
  readonly engine: Engine;
  readonly leaves: readonly StarLeaf[];
  readonly accounting: Accounting;
  /** Under which the engine is accounted for. */
  readonly id: string;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

type TakeAnswer<Own> = (own: Own, from: StarLeaf, rows: RowRange, content: Uint8Array) => void;

/** Kept for answers that come before the own share is computed. */
const EARLY_BYTES = 4 * 2 ** 20;

/**
 * The star allreduce: one broadcast of a phase's input, one exact sum of what all devices answer. The own device is the
 * centre and computes its share at the same time. Two phases may be under way at once, of different rows.
 */
export class Star implements Allreduce {
  readonly #engine: Engine;
  readonly #leaves: readonly StarLeaf[];
  readonly #accounting: Accounting;
  readonly #id: string;
  readonly #now: () => number;
  readonly #poller = new Poller();
  readonly #pool = new BufferPool(EARLY_BYTES);
  #step = 0;
  #rows = 0;
  #reported: EngineUsage;
  /** Phases that wait for the own engine. */
  readonly #turns = new Turns();
  /** When each leaf last answered, by its id. */
  readonly #answered = new Map<string, number>();
  /** Logits of all devices side by side; grown as wide as the most rows that were asked for. */
  #logits = new Float32Array(0);

  constructor({ engine, leaves, accounting, id, now = () => performance.now() }: StarOptions) {
    this.#engine = engine;
    this.#leaves = leaves;
    this.#accounting = accounting;
    this.#id = id;
    this.#now = now;
    this.#reported = engine.usage;
  }

  beginStep(step: Step, heads: number): void {
    this.#accounting.beginStep(rowsOf(step));
    this.#step = (this.#step + 1) >>> 0;
    this.#rows = rowsOf(step);
    this.#engine.beginStep(step);
    if (this.#leaves.length === 0) return;
    const payload = encodeStep(step);
    for (const { leaf } of this.#leaves) leaf.beginStep(payload, this.#step, this.#rows, heads);
  }

  async allreduce(layer: number, phase: Phase, rows: RowRange): Promise<Address> {
    const engine = this.#engine;
    const of = { step: this.#step, layer, phase, rows };
    const run = (): Promise<Address> => engine.run(layer, phase, rows);
    const sums = await this.#phase(of, run, (own, { leaf }, { first, count }, content) => {
      if (!engine.addPackedSums(own + (first - rows.first) * engine.spec.cols * 8, content, count)) {
        throw new StarlingError('protocol_invalid_message', `${leaf.name} answered with sums that are malformed`);
      }
    });
    if (isLastPhase(engine.spec, layer, phase)) this.#accounting.layersDone();
    return sums;
  }

  async head(rows: number): Promise<{ logits: Float32Array; stride: number }> {
    const engine = this.#engine;
    const { vocabSize } = engine.spec;
    const asked = this.#asked(0, HEAD);
    const stride = asked.length === 0 ? roundUp(vocabSize, 8) : vocabSize;
    if (asked.length > 0 && this.#logits.length < rows * stride) this.#logits = new Float32Array(rows * stride);
    const logits = this.#logits;
    const of = { step: this.#step, layer: 0, phase: HEAD, rows: { first: 0, count: rows } };
    const own = await this.#phase(
      of,
      () => engine.runHead(rows),
      (_own, { leaf, head }, { first, count }, content) => {
        const width = roundUp(head.count, 8);
        if (content.length !== count * width * 4) {
          throw new StarlingError('protocol_invalid_message', `${leaf.name} answered with logits that are malformed`);
        }
        // A copy, because a received payload is a view at any alignment.
        const values = new Float32Array(new Uint8Array(content).buffer);
        placeLogits(logits.subarray(first * stride), stride, { values, first: head.first, width }, head.count, count);
      },
    );
    this.#accounting.endStep();
    if (asked.length === 0) return { logits: own.values, stride };
    placeLogits(logits, stride, own, Math.min(own.width, vocabSize - own.first), rows);
    return { logits, stride };
  }

  /**
   * Gives a phase to all devices that have tiles of it, and takes their answers as they come.
   * @param run computes the own share
   * @param take adds rows of an answer to what the own device has computed
   */
  async #phase<Own>(of: PhaseOfStep, run: () => Promise<Own>, take: TakeAnswer<Own>): Promise<Own> {
    const { layer, phase, rows } = of;
    const asked = this.#asked(layer, phase);
    if (asked.length === 0) {
      const alone = await this.#turns.take(run);
      this.#accounting.addPhase([this.#ownUsage()]);
      return alone;
    }
    const input = this.#engine.inputBytes(layer, phase, rows);
    const begun = this.#now();
    const usages: PhaseUsage[] = [];
    /** What came before the own share was computed. */
    const early: { readonly from: StarLeaf; readonly rows: RowRange; readonly content: Uint8Array<ArrayBuffer> }[] = [];
    let computed: { readonly own: Own } | undefined;
    let left = asked.length;
    // Its input leaves before the own share is computed, as turns begin later.
    const own = this.#turns.take(run).then((value) => {
      computed = { own: value };
      for (const { from, rows, content } of early) take(value, from, rows, content);
      return value;
    });
    const answers = asked.map(async (from) => {
      const taken: TakeRows = (rows, content) => {
        if (computed !== undefined) {
          take(computed.own, from, rows, content);
          return;
        }
        const copy = this.#pool.take(content.length);
        copy.set(content);
        early.push({ from, rows, content: copy });
      };
      try {
        usages.push(this.#usageOf(from.leaf.id, await from.leaf.compute(of, input, taken), begun));
      } finally {
        left--;
      }
    });
    let wait: Wait | undefined;
    const waited = own.then(() => {
      // With another part of the step under way, the thread has more to do than to wait for this one.
      const isWhole = phase === HEAD || rows.count === this.#rows;
      if (left === 0 || !isWhole) return;
      wait = this.#poller.begin(waitKind(phase, rows.count));
      return wait.until(
        () => left === 0,
        asked.map(({ leaf }) => leaf),
      );
    });
    const settled = await Promise.allSettled([waited, ...answers]);
    wait?.end();
    for (const { content } of early) this.#pool.give(content);
    for (const each of settled) if (each.status === 'rejected') throw each.reason;
    this.#accounting.addPhase([...usages, this.#ownUsage()]);
    return own;
  }

  #asked(layer: number, phase: Phase): StarLeaf[] {
    return this.#leaves.filter(({ leaf }) => leaf.hasTiles(layer, phase));
  }

  #usageOf(id: string, usage: EngineUsage, begun: number): PhaseUsage {
    const now = this.#now();
    // It computes one phase at a time: what came before its last answer was spent on that.
    const from = Math.max(begun, this.#answered.get(id) ?? 0);
    this.#answered.set(id, now);
    return { ...usage, device: id, wallMs: now - from };
  }

  /** What this device's engine has done since this was last asked. */
  #ownUsage(): PhaseUsage {
    const now = this.#engine.usage;
    const { computeMs, diskMs, bytesRead } = usageBetween(this.#reported, now);
    this.#reported = now;
    return { computeMs, diskMs, bytesRead, device: this.#id, wallMs: computeMs + diskMs };
  }
}

/** Puts a part of the vocabulary's logits in its place. @param count of the part, less padding */
function placeLogits(
  logits: Float32Array,
  stride: number,
  { values, first, width }: { readonly values: Float32Array; readonly first: number; readonly width: number },
  count: number,
  rows: number,
): void {
  if (width === 0) return;
  for (let row = 0; row < rows; row++) {
    logits.set(values.subarray(row * width, row * width + count), row * stride + first);
  }
}
