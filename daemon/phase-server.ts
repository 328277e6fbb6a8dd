import type { Engine } from './engine/engine.ts';
import { HEAD, isLastPhase, type Phase } from './engine/engine-spec.ts';
import type { RowRange } from './engine/step.ts';
import { type EngineUsage, usageBetween } from './engine/usage.ts';
import { type ErrorCode, StarlingError, toStarlingError } from './errors.ts';
import type { Logger } from './log.ts';
import type { DataLink } from './protocol/data-link.ts';
import { FRAME_TYPES, type Frame, type FrameHeader, MAX_INPUTS } from './protocol/frames.ts';
import { NextFrame } from './protocol/next-frame.ts';
import { answerFrame, decodeStep, encodeUsage, type PhaseOfStep, readInput, waitKind } from './protocol/star-codec.ts';
import { Turns } from './turns.ts';

/** Rows of one frame of an answer. */
const PIECE_ROWS = 16;

/** Packed sums or logits of some of a phase's rows: a view, valid until it is called again. */
type Content = (first: number, count: number) => Uint8Array;

/**
 * Computes the phases that a coordinator gives out, one after the other, and answers each. While a step is under way it
 * watches its link instead of going to sleep between two phases.
 */
export class PhaseServer {
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #next = new NextFrame();
  readonly #turns = new Turns();
  /** Rows of the step, and of them those that logits are wanted of. */
  #rows = { all: 0, heads: 0 };
  /** Phases that came and were not answered yet. */
  #unanswered = 0;
  #reported: EngineUsage = { computeMs: 0, diskMs: 0, bytesRead: 0 };

  constructor(engine: Engine, log: Logger) {
    this.#engine = engine;
    this.#log = log;
  }

  /**
   * Takes a STEP or an INPUT, and answers on the link by which it came.
   * @throws StarlingError protocol_invalid_message where the link is to be closed
   */
  take({ header, payload }: Frame, link: DataLink): void {
    this.#next.heard();
    if (header.type === FRAME_TYPES.STEP) this.#step(header, payload);
    else {
      this.#input(header, payload, link).catch((error: unknown) =>
        answerFailure(header, toStarlingError(error), link, this.#log),
      );
    }
  }

  #step({ rows, index: heads }: FrameHeader, payload: Uint8Array): void {
    if (this.#unanswered > 0)
      throw new StarlingError('protocol_invalid_message', 'a step came before the last phase was answered');
    if (heads > rows)
      throw new StarlingError('protocol_invalid_message', `logits of ${heads} rows in a step of ${rows}`);
    this.#engine.beginStep(decodeStep(payload, rows, this.#engine.spec));
    this.#rows = { all: rows, heads };
  }

  async #input(header: FrameHeader, payload: Uint8Array, link: DataLink): Promise<void> {
    if (this.#unanswered === MAX_INPUTS) {
      throw new StarlingError('protocol_invalid_message', `a phase came before one of ${MAX_INPUTS} was answered`);
    }
    const engine = this.#engine;
    const of = readInput(header, payload, engine.spec, this.#rows);
    // At once, as the payload is used again. A phase that is computed meanwhile has arranged its own input already.
    engine.setInput(of.layer, of.phase, of.rows, payload);
    this.#unanswered++;
    try {
      await this.#turns.take(() => this.#answer(of, link));
    } finally {
      this.#unanswered--;
    }
    await this.#watch(of, link);
  }

  /**
   * Computes a phase and sends what it gives, some rows at a time: the coordinator adds those while the next ones are
   * packed.
   */
  async #answer(of: PhaseOfStep, link: DataLink): Promise<void> {
    const { layer, phase, rows } = of;
    const content = await (phase === HEAD ? this.#logits(rows) : this.#sums(layer, phase, rows));
    for (let done = 0; done < rows.count; done += PIECE_ROWS) {
      const count = Math.min(PIECE_ROWS, rows.count - done);
      const piece = { ...of, rows: { first: rows.first + done, count } };
      link.send(answerFrame(piece), encodeUsage(this.#usage()), content(done, count));
    }
  }

  async #sums(layer: number, phase: Phase, rows: RowRange): Promise<Content> {
    const engine = this.#engine;
    const sums = await engine.run(layer, phase, rows);
    return (first, count) => engine.packedSums(sums + first * engine.spec.cols * 8, count);
  }

  async #logits(rows: RowRange): Promise<Content> {
    const { values, width } = await this.#engine.runHead(rows.count);
    return (first, count) => new Uint8Array(values.buffer, values.byteOffset + first * width * 4, count * width * 4);
  }

  /** Waits for what follows an answer, awake, unless the step is over for this device. */
  async #watch({ layer, phase, rows }: PhaseOfStep, link: DataLink): Promise<void> {
    const engine = this.#engine;
    const isLast = isLastPhase(engine.spec, layer, phase);
    const ends = phase === HEAD || (isLast && (this.#rows.heads === 0 || engine.layout.logits === null));
    if (ends || this.#unanswered > 0) return;
    await this.#next.wait(waitKind(phase, rows.count), link);
  }

  /** What the engine has done since this was last asked. */
  #usage(): EngineUsage {
    const usage = usageBetween(this.#reported, this.#engine.usage);
    this.#reported = this.#engine.usage;
    return usage;
  }
}

/** Answers a phase that cannot be computed. */
export function answerFailure(
  { step, layer, phase, index }: FrameHeader,
  error: StarlingError,
  link: DataLink,
  log: Logger,
): void {
  if (link.closed) return;
  log.warn({ code: error.code, step, layer, phase }, error.message);
  const payload = Buffer.from(JSON.stringify({ code: error.code satisfies ErrorCode, message: error.message }));
  link.send({ type: FRAME_TYPES.FAILED, step, layer, phase, index }, payload);
}
