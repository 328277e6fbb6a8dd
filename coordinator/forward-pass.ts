import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Engine } from '../daemon/engine/engine.ts';
import { type EngineSpec, HEAD, inputFormat, MAX_ROWS, ropeValues } from '../daemon/engine/engine-spec.ts';
import type { RowRange, Step } from '../daemon/engine/step.ts';
import { StarlingError } from '../daemon/errors.ts';
import { LONGEST_TURN_MS } from '../daemon/turns.ts';
import { f32View } from '../kernels/arena.ts';
import { activationBytes, KV_PAGE } from '../kernels/formats.ts';
import type { Address } from '../kernels/kernels.ts';
import type { Allreduce } from './cluster/allreduce.ts';
import type { Overlap } from './cluster/overlap.ts';
import type { LanguageModel, SequenceRows } from './language-model.ts';
import type { Norms } from './model/norms.ts';
import type { ModelSpec } from './model/spec.ts';
import { RopeTable } from './rope-table.ts';

/** What stays with the coordinator: embeddings and norms. */
export interface CoordinatorWeights {
  /** Rows of the token embedding, from a file that may change under a running model. */
  readonly embedding: { row(token: number, into: Float32Array): Promise<void>; assertUnchanged(): void };
  readonly norms: Norms;
}

/** f32 values of the forward pass's own buffers: the residual rows, and all norm weights padded to `cols`. */
export const forwardScratchBytes = ({ layers, cols }: EngineSpec): number =>
  (MAX_ROWS + layers.flat().length + 1) * cols * 4;

export interface ForwardPassOptions {
  /** Where phases take their input from and leave their sums; created with `forwardScratchBytes` of scratch. */
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

/** Token ids in, logits out, over the whole cluster: embeds, norms, and leaves the products to the devices. */
export class ForwardPass implements LanguageModel {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly #allreduce: Allreduce;
  readonly #engine: Engine;
  readonly #model: ModelSpec;
  readonly #weights: CoordinatorWeights;
  readonly #overlap: Overlap;
  readonly #now: () => number;
  readonly #ropes: readonly RopeTable[];
  readonly #residual: Address;
  readonly #normWeights: Address;

  constructor({ engine, allreduce, model, weights, contextLength, overlap, now }: ForwardPassOptions) {
    const { cols } = engine.spec;
    this.#allreduce = allreduce;
    this.#engine = engine;
    this.#model = model;
    this.#weights = weights;
    this.#overlap = overlap;
    this.#now = now ?? (() => performance.now());
    this.#ropes = model.ropes.map((rope) => new RopeTable(rope));
    this.vocabSize = model.vocabSize;
    this.contextLength = Math.min(contextLength, engine.spec.kvPages * KV_PAGE);
    this.#residual = engine.scratch;
    this.#normWeights = engine.scratch + MAX_ROWS * cols * 4;
    const norms = [...weights.norms.layers.flat(), weights.norms.output];
    for (const [i, norm] of norms.entries()) f32View(engine.arena, this.#normWeights + i * cols * 4, cols).set(norm);
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
    return this.#head(batch);
  }

  /**
   * Takes the step's rows, in parts, through all layers. The parts take turns, so that one is computed while the sums of another
   * travel: first every part's first phase is given out, then every part's next phase as its sums arrive. Devices
   * compute in that order, so that the keys and values of a part are there when a later one attends to them.
   */
  async #layers(parts: readonly RowRange[], signal: AbortSignal | undefined): Promise<void> {
    const sums: (Promise<Address> | undefined)[] = parts.map(() => undefined);
    const finish = async (i: number): Promise<void> => {
      const address = await sums[i];
      if (address === undefined) return;
      const { first, count } = parts[i]!;
      const { cols } = this.#engine.spec;
      this.#engine.kernels.residual(this.#residual + first * cols * 4, address, count * cols);
    };
    let turn = this.#now();
    try {
      let norm = 0;
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
            this.#normalise(norm, rows, input, `in layer ${layer}`);
            sums[i] = this.#allreduce.allreduce(layer, phase, rows);
            // It may fail before it is waited for.
            sums[i].catch(() => {});
          }
          norm++;
        }
      }
      for (const i of parts.keys()) await finish(i);
    } finally {
      // Where one part has failed, the devices are still to answer another: before that they take no new step.
      await Promise.allSettled(sums);
    }
  }

  /** Logits of the rows that want them. */
  async #head(batch: readonly SequenceRows[]): Promise<Float32Array[]> {
    const { arena, spec } = this.#engine;
    const residual = f32View(arena, this.#residual, MAX_ROWS * spec.cols);
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
    const format = inputFormat(spec, 0, HEAD);
    this.#normalise(spec.layers.flat().length, { first: 0, count: wanted }, format, 'before the head');
    const { logits, stride } = await this.#allreduce.head(wanted);
    return Array.from({ length: wanted }, (_, i) => logits.subarray(i * stride, i * stride + this.vocabSize));
  }

  /** residual[row] = the token's embedding, zero beyond dim. */
  async #embed(tokens: readonly number[]): Promise<void> {
    this.#weights.embedding.assertUnchanged();
    const { cols } = this.#engine.spec;
    const rows = f32View(this.#engine.arena, this.#residual, tokens.length * cols);
    // At once, as each may wait for the file; until all have ended, as they write where the next step's go.
    const read = await Promise.allSettled(
      tokens.map((token, row) => {
        rows.fill(0, row * cols + this.#model.dim, (row + 1) * cols);
        return this.#weights.embedding.row(token, rows.subarray(row * cols, row * cols + this.#model.dim));
      }),
    );
    for (const each of read) if (each.status === 'rejected') throw each.reason;
  }

  /** Fills the engine's input from residual rows: RMSNorm with norm weight `norm`, quantised too where the phase takes that. */
  #normalise(norm: number, { first, count }: RowRange, format: 'q8' | 'f32', where: string): void {
    const { kernels, spec } = this.#engine;
    const { cols, dim } = spec;
    const x = this.#residual + first * cols * 4;
    const f32 = this.#engine.input('f32', first);
    const weight = this.#normWeights + norm * cols * 4;
    kernels.rmsnorm(x, cols * 4, weight, dim, cols, count, this.#model.rmsEps, f32, cols * 4);
    if (format === 'f32') return;
    const q8 = this.#engine.input('q8', first);
    if (!kernels.quantize(f32, cols * 4, cols, count, q8, activationBytes('q8', cols))) {
      throw new StarlingError(
        'numeric_overflow',
        `an activation ${where} is not finite: the model file is damaged or its weights are out of range`,
      );
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
