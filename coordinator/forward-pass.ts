import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Engine } from '../daemon/engine/engine.ts';
import { MAX_ROWS, ropeValues } from '../daemon/engine/engine-spec.ts';
import type { RowRange, Step } from '../daemon/engine/step.ts';
import { StarlingError } from '../daemon/errors.ts';
import { LONGEST_TURN_MS } from '../daemon/turns.ts';
import { KV_PAGE } from '../kernels/formats.ts';
import type { Address } from '../kernels/kernels.ts';
import type { Allreduce } from './cluster/allreduce.ts';
import type { Overlap } from './cluster/overlap.ts';
import type { LanguageModel, SequenceRows } from './language-model.ts';
import type { FrameVectors } from './model/frame-vectors.ts';
import type { ModelSpec } from './model/spec.ts';
import { ResidualStream } from './residual-stream.ts';
import { RopeTable } from './rope-table.ts';

/** What stays with the coordinator: embeddings, and what is done around products. */
export interface CoordinatorWeights {
  /** Rows of the token embedding, from a file that may change under a running model. */
  readonly embedding: { row(token: number, into: Float32Array): Promise<void>; assertUnchanged(): void };
  readonly vectors: FrameVectors;
}

export interface ForwardPassOptions {
  /** Where phases take their input from and leave their sums; created with `residualBytes` of scratch. */
  readonly engine: Engine;
  /** Over the same engine. */
  readonly allreduce: Allreduce;
  readonly model: ModelSpec;
  readonly weights: CoordinatorWeights;
  readonly contextLength: number;
  /** Which steps are computed as two half-batches. */
  readonly overlap: Overlap;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

/**
 * Token ids in, logits or hidden states out, over the whole cluster: embeds, norms, and leaves the products to the
 * devices.
 */
export class ForwardPass implements LanguageModel {
  readonly vocabSize: number;
  readonly dim: number;
  readonly contextLength: number;
  readonly #allreduce: Allreduce;
  readonly #engine: Engine;
  readonly #model: ModelSpec;
  readonly #weights: CoordinatorWeights;
  readonly #overlap: Overlap;
  readonly #now: () => number;
  readonly #ropes: readonly RopeTable[];
  readonly #stream: ResidualStream;

  constructor({ engine, allreduce, model, weights, contextLength, overlap, now }: ForwardPassOptions) {
    this.#allreduce = allreduce;
    this.#engine = engine;
    this.#model = model;
    this.#weights = weights;
    this.#overlap = overlap;
    this.#now = now ?? (() => performance.now());
    this.vocabSize = model.vocabSize;
    this.dim = model.dim;
    this.contextLength = Math.min(contextLength, engine.spec.kvPages * KV_PAGE);
    this.#ropes = model.ropes.map((rope) => new RopeTable(rope, this.contextLength));
    this.#stream = new ResidualStream(engine, model, weights.vectors);
  }

  get kvPages(): number {
    return this.#engine.spec.kvPages;
  }

  async step(batch: readonly SequenceRows[], signal?: AbortSignal): Promise<Float32Array[]> {
    const tokens = batch.flatMap((sequence) => sequence.tokens);
    const rows = tokens.length;
    await this.#embed(tokens);
    const halved = rows > 1 && this.#overlap.halves(rows);
    const begun = this.#now();
    const heads = batch.reduce((sum, { logits }) => sum + logits, 0);
    this.#allreduce.beginStep(this.#stepOf(batch, rows), heads);
    // On one device a whole step can pass without waiting for anything.
    await nextTurn();
    await this.#layers(halved ? halvesOf(rows) : [{ first: 0, count: rows }], signal);
    this.#overlap.observe(rows, halved, this.#now() - begun);
    const hidden = this.#hidden(batch);
    const logits = await this.#head(batch);
    return batch.flatMap((rows) => [...hidden.splice(0, rows.hidden ?? 0), ...logits.splice(0, rows.logits)]);
  }

  /**
   * Takes the step's rows, in parts, through all layers. The parts take turns, so that one is computed while the sums
   * of another travel: first every part's first phase is given out, then every part's next phase as its sums arrive.
   * Devices compute in that order, so that the keys and values of a part are there when a later one attends to them.
   */
  async #layers(parts: readonly RowRange[], signal: AbortSignal | undefined): Promise<void> {
    const underWay: ({ layer: number; phase: number; sums: Promise<Address> } | undefined)[] = parts.map(
      () => undefined,
    );
    const finish = async (i: number): Promise<void> => {
      const last = underWay[i];
      if (last !== undefined) this.#stream.leave(last.layer, last.phase, parts[i]!, await last.sums);
    };
    let turn = this.#now();
    try {
      for (const [layer, phases] of this.#engine.spec.layers.entries()) {
        for (const [phase, { input }] of phases.entries()) {
          for (const [i, rows] of parts.entries()) {
            await finish(i);
            if (this.#now() - turn > LONGEST_TURN_MS) {
              await nextTurn();
              turn = this.#now();
            }
            if (signal?.aborted)
              throw new StarlingError('cancelled', 'the request was cancelled', { cause: signal.reason });
            this.#stream.enter(layer, phase, rows, input);
            const sums = this.#allreduce.allreduce(layer, phase, rows);
            // It may fail before it is waited for.
            sums.catch(() => {});
            underWay[i] = { layer, phase, sums };
          }
        }
      }
      for (const i of parts.keys()) await finish(i);
    } finally {
      // Where one part has failed, the devices are still to answer another: before that they take no new step.
      await Promise.allSettled(underWay.map((each) => each?.sums));
    }
  }

  /** Of the rows that want them. */
  #hidden(batch: readonly SequenceRows[]): Float32Array[] {
    const states: Float32Array[] = [];
    let end = 0;
    for (const { tokens, hidden = 0 } of batch) {
      end += tokens.length;
      if (hidden > 0) states.push(...this.#stream.hidden({ first: end - hidden, count: hidden }, states.length));
    }
    return states;
  }

  /** Logits of the rows that want them; other rows of the stream are lost. */
  async #head(batch: readonly SequenceRows[]): Promise<Float32Array[]> {
    const { spec } = this.#engine;
    const residual = this.#stream.rows(MAX_ROWS);
    let wanted = 0;
    let row = 0;
    for (const { tokens, logits } of batch) {
      // To the front, one after the other: a row never moves past one that is still to be moved.
      for (let i = tokens.length - logits; i < tokens.length; i++) {
        residual.copyWithin(wanted++ * spec.cols, (row + i) * spec.cols, (row + i + 1) * spec.cols);
      }
      row += tokens.length;
    }
    if (wanted === 0) return [];
    this.#stream.enterHead(wanted, spec.head);
    const { logits, stride } = await this.#allreduce.head(wanted);
    const rows = Array.from({ length: wanted }, (_, i) => logits.subarray(i * stride, i * stride + this.vocabSize));
    for (const each of rows) this.#bound(each);
    return rows;
  }

  /** residual[row] = the token's embedding, zero beyond dim. */
  async #embed(tokens: readonly number[]): Promise<void> {
    this.#weights.embedding.assertUnchanged();
    const { cols } = this.#engine.spec;
    const { dim, embeddingScale } = this.#model;
    const rows = this.#stream.rows(tokens.length);
    // At once, as each may wait for the file; until all have ended, as they write where the next step's go.
    const read = await Promise.allSettled(
      tokens.map(async (token, row) => {
        const into = rows.subarray(row * cols, row * cols + dim);
        rows.fill(0, row * cols + dim, (row + 1) * cols);
        await this.#weights.embedding.row(token, into);
        if (embeddingScale !== 1) for (let i = 0; i < dim; i++) into[i] = into[i]! * Math.fround(embeddingScale);
      }),
    );
    for (const each of read) if (each.status === 'rejected') throw each.reason;
  }

  /** Scales and bounds a row's logits, where the model does. */
  #bound(logits: Float32Array): void {
    const { logitScale, logitCap } = this.#model;
    if (logitScale === 1 && logitCap === 0) return;
    for (let i = 0; i < logits.length; i++) {
      const scaled = logits[i]! * logitScale;
      logits[i] = logitCap === 0 ? scaled : logitCap * Math.tanh(scaled / logitCap);
    }
  }

  #stepOf(batch: readonly SequenceRows[], rows: number): Step {
    const positions = new Uint32Array(rows);
    const sequences = new Uint16Array(rows);
    let row = 0;
    for (const [sequence, { tokens, position }] of batch.entries()) {
      for (let i = 0; i < tokens.length; i++, row++) {
        positions[row] = position + i;
        sequences[row] = sequence;
      }
    }
    const pages = batch.map(({ pages }) => Uint32Array.from(pages));
    return { positions, sequences, pages, rope: this.#rotations(positions) };
  }

  /** See Step.rope. */
  #rotations(positions: Uint32Array): Float32Array {
    const rope = new Float32Array(positions.length * ropeValues(this.#engine.spec));
    let at = 0;
    for (const table of this.#ropes) {
      for (const position of positions) {
        table.fill(position, rope.subarray(at, at + table.width));
        at += table.width;
      }
    }
    return rope;
  }
}

/** The larger half first. */
function halvesOf(rows: number): RowRange[] {
  const first = Math.ceil(rows / 2);
  return [
    { first: 0, count: first },
    { first, count: rows - first },
  ];
}
