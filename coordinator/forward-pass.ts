import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Engine } from '../daemon/engine/engine.ts';
import { type EngineSpec, inputFormat, MAX_ROWS, PHASE, pagesFor } from '../daemon/engine/engine-spec.ts';
import type { Step } from '../daemon/engine/step.ts';
import { StarlingError } from '../daemon/errors.ts';
import { f32View } from '../kernels/arena.ts';
import { activationBytes } from '../kernels/formats.ts';
import type { Address } from '../kernels/kernels.ts';
import type { Star } from './cluster/star.ts';
import { KvPages } from './kv-pages.ts';
import type { LanguageModel, Sequence } from './language-model.ts';
import type { ModelSpec } from './model/spec.ts';
import { RopeTable } from './rope-table.ts';

/** A computing thread lets timers and sockets have their turn at least this often, in milliseconds. */
const LONGEST_TURN_MS = 10;

/** What stays with the coordinator: embeddings and norms. */
export interface CoordinatorWeights {
  /** Writes a token's embedding, `dim` values. */
  readonly embedding: { row(token: number, into: Float32Array): Promise<void> };
  /** Per layer: the norms before attention and before the feed-forward network, `dim` values each. */
  readonly norms: readonly { readonly attention: Float32Array; readonly ffn: Float32Array }[];
  readonly outputNorm: Float32Array;
}

/** f32 values of the forward pass's own buffers: the residual rows, and all norm weights padded to `cols`. */
export const forwardScratchBytes = (spec: EngineSpec): number =>
  (MAX_ROWS + spec.layers.length * 2 + 1) * spec.cols * 4;

/** Token ids in, logits out, over the whole cluster: embeds, norms, and leaves the products to the star. */
export class ForwardPass implements LanguageModel {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly #star: Star;
  readonly #engine: Engine;
  readonly #model: ModelSpec;
  readonly #weights: CoordinatorWeights;
  readonly #pages: KvPages;
  readonly #rope: RopeTable;
  readonly #residual: Address;
  readonly #normWeights: Address;

  /** @param star its engine was created with `forwardScratchBytes` of scratch and holds the head tiles */
  constructor(star: Star, model: ModelSpec, weights: CoordinatorWeights, contextLength: number) {
    const { engine } = star;
    const { cols } = engine.spec;
    this.#star = star;
    this.#engine = engine;
    this.#model = model;
    this.#weights = weights;
    this.#pages = new KvPages(engine.spec.kvPages);
    this.#rope = new RopeTable(model.rope, model.headDim);
    this.vocabSize = model.vocabSize;
    this.contextLength = contextLength;
    this.#residual = engine.scratch;
    this.#normWeights = engine.scratch + MAX_ROWS * cols * 4;
    const norms = [...weights.norms.flatMap(({ attention, ffn }) => [attention, ffn]), weights.outputNorm];
    for (const [i, norm] of norms.entries()) f32View(engine.arena, this.#normWeights + i * cols * 4, cols).set(norm);
  }

  openSequence(): Sequence {
    return new ClusterSequence(this, this.#pages);
  }

  /**
   * Computes consecutive rows of one sequence.
   * @param pages the sequence's KV pages, enough for all rows
   * @returns logits after the last row (vocabSize), valid until the next step
   */
  async step(
    tokens: readonly number[],
    position: number,
    pages: Uint32Array,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const rows = tokens.length;
    await this.#embed(tokens);
    this.#star.beginStep(this.#stepOf(rows, position, pages));
    // On one device a whole step can pass without waiting for anything.
    await nextTurn();
    let turn = performance.now();
    for (let layer = 0; layer < this.#model.layers.length; layer++) {
      for (const phase of [PHASE.attention, PHASE.ffn]) {
        if (signal?.aborted)
          throw new StarlingError('cancelled', 'the request was cancelled', { cause: signal.reason });
        const format = inputFormat(this.#engine.spec, layer, phase);
        this.#normalise(this.#residual, layer * 2 + phase, rows, format, `in layer ${layer}`);
        await this.#star.allreduce(layer, phase);
        if (performance.now() - turn > LONGEST_TURN_MS) {
          await nextTurn();
          turn = performance.now();
        }
        this.#engine.kernels.residual(this.#residual, this.#engine.layout.sums, rows * this.#engine.spec.cols);
      }
    }
    const last = this.#residual + (rows - 1) * this.#engine.spec.cols * 4;
    this.#normalise(last, this.#model.layers.length * 2, 1, 'q8', 'before the head');
    return (await this.#star.runHead(1)).subarray(0, this.vocabSize);
  }

  /** residual[row] = the token's embedding, zero beyond dim. */
  async #embed(tokens: readonly number[]): Promise<void> {
    const { cols } = this.#engine.spec;
    const rows = f32View(this.#engine.arena, this.#residual, tokens.length * cols);
    for (const [row, token] of tokens.entries()) {
      await this.#weights.embedding.row(token, rows.subarray(row * cols, row * cols + this.#model.dim));
      rows.fill(0, row * cols + this.#model.dim, (row + 1) * cols);
    }
  }

  /** Fills the engine's input rows: RMSNorm with norm weight `norm`, quantised too where the phase takes that. */
  #normalise(x: Address, norm: number, rows: number, format: 'q8' | 'f32', where: string): void {
    const { kernels, spec } = this.#engine;
    const { cols, dim } = spec;
    const f32 = this.#engine.input('f32');
    const weight = this.#normWeights + norm * cols * 4;
    kernels.rmsnorm(x, cols * 4, weight, dim, cols, rows, this.#model.rmsEps, f32, cols * 4);
    if (format === 'f32') return;
    if (!kernels.quantize(f32, cols * 4, cols, rows, this.#engine.input('q8'), activationBytes('q8', cols))) {
      throw new StarlingError(
        'numeric_overflow',
        `an activation ${where} is not finite: the model file is damaged or its weights are out of range`,
      );
    }
  }

  #stepOf(rows: number, position: number, pages: Uint32Array): Step {
    const positions = Uint32Array.from({ length: rows }, (_, row) => position + row);
    const rope = new Float32Array(rows * this.#model.headDim);
    for (let row = 0; row < rows; row++) this.#rope.fill(position + row, rope.subarray(row * this.#model.headDim));
    return { positions, sequences: new Uint16Array(rows), pages: [pages], rope };
  }
}

class ClusterSequence implements Sequence {
  readonly #forward: ForwardPass;
  readonly #pages: KvPages;
  #held = new Uint32Array(0);
  #length = 0;

  constructor(forward: ForwardPass, pages: KvPages) {
    this.#forward = forward;
    this.#pages = pages;
  }

  get length(): number {
    return this.#length;
  }

  async append(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    const { contextLength } = this.#forward;
    if (tokens.length === 0) throw new RangeError('append takes at least one token');
    if (this.#length + tokens.length > contextLength) {
      throw new StarlingError(
        'context_length_exceeded',
        `${this.#length + tokens.length} positions; the context holds ${contextLength}`,
      );
    }
    const missing = pagesFor(this.#length + tokens.length) - this.#held.length;
    if (missing > 0) this.#held = Uint32Array.from([...this.#held, ...this.#pages.take(missing)]);
    let logits: Float32Array = new Float32Array(0);
    for (let done = 0; done < tokens.length; done += MAX_ROWS) {
      const rows = tokens.slice(done, done + MAX_ROWS);
      logits = await this.#forward.step(rows, this.#length, this.#held, signal);
      this.#length += rows.length;
    }
    return logits;
  }

  release(): void {
    this.#pages.give(this.#held);
    this.#held = new Uint32Array(0);
    this.#length = 0;
  }
}
