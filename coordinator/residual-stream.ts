import type { Engine } from '../daemon/engine/engine.ts';
import { expertsOf, MAX_ROWS } from '../daemon/engine/engine-spec.ts';
import { MEAN_SQUARES, normFactor } from '../daemon/engine/mean-squares.ts';
import type { RowRange } from '../daemon/engine/step.ts';
import { StarlingError } from '../daemon/errors.ts';
import { f32View, f64View } from '../kernels/arena.ts';
import { type ActivationFormat, activationBytes } from '../kernels/formats.ts';
import type { Address } from '../kernels/kernels.ts';
import type { FrameVectors } from './model/frame-vectors.ts';
import type { ModelSpec } from './model/spec.ts';
import { Router, routerBytes } from './router.ts';

/** Vectors of all phases' frames and of the head's. */
const vectorCount = ({ layers }: ModelSpec): number =>
  layers.flat().reduce((sum, phase) => {
    const biases = phase.kind === 'experts' ? (phase.downBiases?.length ?? 0) : 0;
    return sum + vectorsOf(phase).length + biases;
  }, 0) + 1;

/** The vectors that a frame has, in the order in which they lie in memory. */
const vectorsOf = <T>(frame: { inputNorm: T | null; outputNorm: T | null; outputBias: T | null }): T[] =>
  [frame.inputNorm, frame.outputNorm, frame.outputBias].filter((vector) => vector !== null);

/**
 * Bytes of an engine's scratch that the residual stream takes: its rows, as many for results, and the vectors padded to
 * `cols`.
 */
export const residualBytes = (model: ModelSpec, cols: number): number =>
  (2 * MAX_ROWS + vectorCount(model)) * cols * 4 + routerBytes(model, cols);

/** What is done around a phase's products, with addresses of vectors. */
interface Frame {
  readonly inputNorm: Address | null;
  readonly outputNorm: Address | null;
  readonly outputBias: Address | null;
  readonly outputScale: number;
  /** Of each network of a mixture. */
  readonly downBiases: readonly Address[];
  /** Whether its rows are routed. */
  readonly isMixture: boolean;
}

/** The residual stream of a step's rows, in the scratch of the engine whose input it fills and whose sums it takes. */
export class ResidualStream {
  readonly #engine: Engine;
  readonly #dim: number;
  readonly #rmsEps: number;
  readonly #rows: Address;
  readonly #results: Address;
  /** Of each layer's phases. */
  readonly #frames: readonly (readonly Frame[])[];
  readonly #head: Frame;
  readonly #router: Router;

  /** @param engine with at least residualBytes of scratch */
  constructor(engine: Engine, model: ModelSpec, vectors: FrameVectors) {
    const bytes = engine.spec.cols * 4;
    this.#engine = engine;
    this.#dim = model.dim;
    this.#rmsEps = model.rmsEps;
    this.#rows = engine.scratch;
    this.#results = this.#rows + MAX_ROWS * bytes;
    let end = this.#results + MAX_ROWS * bytes;
    const place = (vector: Float32Array | null): Address | null => {
      if (vector === null) return null;
      const at = end;
      f32View(engine.arena, at, engine.spec.cols).set(vector);
      end += bytes;
      return at;
    };
    this.#frames = model.layers.map((phases, layer) =>
      phases.map(({ outputScale }, phase): Frame => {
        const { inputNorm, outputNorm, outputBias, router } = vectors.layers[layer]![phase]!;
        return {
          inputNorm: place(inputNorm),
          outputNorm: place(outputNorm),
          outputBias: place(outputBias),
          outputScale,
          downBiases: (router?.downBiases ?? []).map((bias) => place(bias)!),
          isMixture: router !== null,
        };
      }),
    );
    this.#head = {
      ...{ inputNorm: place(vectors.output), outputNorm: null, outputBias: null, outputScale: 1 },
      ...{ downBiases: [], isMixture: false },
    };
    const routers = vectors.layers.map((phases) => phases.map(({ router }) => router));
    this.#router = new Router(engine, model, routers, end);
  }

  /** f32 [rows][cols], from the first row on. */
  rows(count: number): Float32Array {
    return f32View(this.#engine.arena, this.#rows, count * this.#engine.spec.cols);
  }

  /**
   * Fills the engine's input of a phase from rows of the stream.
   * @throws StarlingError numeric_overflow
   */
  enter(layer: number, phase: number, rows: RowRange, format: ActivationFormat): void {
    const frame = this.#frames[layer]![phase]!;
    this.#enter(frame, rows, format, `in layer ${layer}`);
    if (frame.isMixture) this.#router.route(layer, phase, rows);
  }

  /** Fills the engine's input of the head from the first rows of the stream. @throws StarlingError numeric_overflow */
  enterHead(count: number, format: ActivationFormat): void {
    this.#enter(this.#head, { first: 0, count }, format, 'before the head');
  }

  /**
   * What the head would make logits of: rows of the stream after the output norm. It lies where phases leave their
   * results.
   * @param at rows that lie there already
   * @returns f32 [dim] for each row
   * @throws StarlingError numeric_overflow
   */
  hidden({ first, count }: RowRange, at: number): Float32Array[] {
    const { arena, spec } = this.#engine;
    const bytes = spec.cols * 4;
    const into = this.#results + at * bytes;
    this.#norm(this.#head, this.#rows + first * bytes, count, into);
    const states = Array.from({ length: count }, (_, i) => f32View(arena, into + i * bytes, this.#dim));
    if (!states.every((state) => state.every(Number.isFinite))) throw overflow('after the last layer');
    return states;
  }

  /**
   * Adds what a phase gave for rows of the stream; of norms, it is what the next phase's rows are multiplied by.
   * @param sums f64 [row][cols]
   */
  leave(layer: number, phase: number, rows: RowRange, sums: Address): void {
    if (this.#engine.spec.layers[layer]![phase]!.kind === 'norms') this.#setFactors(rows, sums);
    else this.#add(layer, phase, rows, sums);
  }

  /** See Engine.factors. */
  #setFactors(rows: RowRange, sums: Address): void {
    const { arena, spec } = this.#engine;
    const { q, k } = this.#engine.factors(rows);
    for (let row = 0; row < rows.count; row++) {
      const of = f64View(arena, sums + row * spec.cols * 8, spec.cols);
      q[row] = normFactor(of.subarray(MEAN_SQUARES.q), this.#rmsEps);
      k[row] = normFactor(of.subarray(MEAN_SQUARES.k), this.#rmsEps);
    }
  }

  #add(layer: number, phase: number, { first, count }: RowRange, sums: Address): void {
    const { outputNorm, outputBias, outputScale, downBiases } = this.#frames[layer]![phase]!;
    const { kernels, spec } = this.#engine;
    const { cols } = spec;
    const rows = this.#rows + first * cols * 4;
    if (outputNorm === null && outputBias === null && outputScale === 1 && downBiases.length === 0) {
      kernels.residual(rows, sums, count * cols);
      return;
    }
    const results = this.#results + first * cols * 4;
    kernels.fromSums(sums, count * cols, results);
    if (outputBias !== null) {
      for (let row = 0; row < count; row++) kernels.addScaled(results + row * cols * 4, outputBias, 1, cols);
    }
    if (downBiases.length > 0) this.#addDownBiases(downBiases, layer, phase, { first, count }, results);
    if (outputNorm !== null) {
      kernels.rmsnorm(results, cols * 4, outputNorm, this.#dim, cols, count, this.#rmsEps, results, cols * 4);
    }
    kernels.addScaled(rows, results, outputScale, count * cols);
  }

  /** results[row] += weight · bias of each network that the row uses, in the order of its routes. */
  #addDownBiases(biases: readonly Address[], layer: number, phase: number, rows: RowRange, results: Address): void {
    const { kernels, spec } = this.#engine;
    const { cols } = spec;
    const experts = expertsOf(spec, layer, phase)!;
    const bytes = this.#engine.routes(experts, rows);
    const routes = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const perRow = bytes.length / rows.count;
    for (let at = 0; at < bytes.length; at += 8) {
      const bias = biases[routes.getUint32(at, true)];
      const weight = routes.getFloat32(at + 4, true);
      const row = results + Math.floor(at / perRow) * cols * 4;
      if (bias !== undefined) kernels.addScaled(row, bias, weight, cols);
    }
  }

  #enter(frame: Frame, { first, count }: RowRange, format: ActivationFormat, where: string): void {
    const { kernels, spec } = this.#engine;
    const { cols } = spec;
    const f32 = this.#engine.input('f32', first);
    this.#norm(frame, this.#rows + first * cols * 4, count, f32);
    if (format === 'f32') return;
    const q8 = this.#engine.input('q8', first);
    if (!kernels.quantize(f32, cols * 4, cols, count, q8, activationBytes('q8', cols))) throw overflow(where);
  }

  /** @param x f32 [count][cols], as `into` */
  #norm({ inputNorm }: Frame, x: Address, count: number, into: Address): void {
    const { kernels, arena, spec } = this.#engine;
    const { cols } = spec;
    if (inputNorm === null) f32View(arena, into, count * cols).set(f32View(arena, x, count * cols));
    else kernels.rmsnorm(x, cols * 4, inputNorm, this.#dim, cols, count, this.#rmsEps, into, cols * 4);
  }
}

const overflow = (where: string): StarlingError =>
  new StarlingError(
    'numeric_overflow',
    `an activation ${where} is not finite: the model file is damaged or its weights are out of range`,
  );
