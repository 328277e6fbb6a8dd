import type { Engine } from '../daemon/engine/engine.ts';
import { expertsOf, MAX_ROWS } from '../daemon/engine/engine-spec.ts';
import type { RowRange } from '../daemon/engine/step.ts';
import { StarlingError } from '../daemon/errors.ts';
import { f32View } from '../kernels/arena.ts';
import { activationBytes, matrixBytes, panelBytes, ROW_GROUP, roundUp } from '../kernels/formats.ts';
import type { Address } from '../kernels/kernels.ts';
import { ExpertChooser, sigmoid } from './choose-experts.ts';
import type { RouterWeights } from './model/frame-vectors.ts';
import type { ExpertsPhase, ModelSpec } from './model/spec.ts';
import { placeRouter, type RouterFormat } from './router-weights.ts';

/**
 * A router in memory: a row of products each network, and one more for the gate of the shared network, where there is
 * one.
 */
interface Placed {
  readonly chooser: ExpertChooser;
  readonly experts: number;
  readonly format: RouterFormat;
  readonly weights: Address;
  readonly products: number;
  readonly bias: Float32Array | null;
  readonly gatesShared: boolean;
}

const productsOf = ({ experts, shared }: ExpertsPhase): number =>
  roundUp(experts.length + (shared?.routerGate ? 1 : 0), ROW_GROUP);

const mixturesOf = ({ layers }: ModelSpec): ExpertsPhase[] =>
  layers.flat().filter((phase): phase is ExpertsPhase => phase.kind === 'experts');

/** Bytes of an engine's scratch that a model's routers take: weights, a panel of the input, and products. */
export function routerBytes(model: ModelSpec, cols: number): number {
  const mixtures = mixturesOf(model);
  if (mixtures.length === 0) return 0;
  const weights = mixtures.reduce((sum, phase) => sum + matrixBytes('F32', productsOf(phase), cols), 0);
  return weights + panelBytes('f32', cols, MAX_ROWS) + MAX_ROWS * 4 * Math.max(...mixtures.map(productsOf));
}

/** Routes rows to the networks of mixtures. The coordinator does it, so that all devices follow the same routes. */
export class Router {
  readonly #engine: Engine;
  readonly #panel: Address;
  readonly #products: Address;
  /** By layer and phase. */
  readonly #placed: readonly (readonly (Placed | null)[])[];

  /** @param at the first of `routerBytes` of the engine's scratch */
  constructor(engine: Engine, model: ModelSpec, routers: readonly (readonly (RouterWeights | null)[])[], at: Address) {
    const { cols } = engine.spec;
    this.#engine = engine;
    this.#panel = at;
    this.#products = at + panelBytes('f32', cols, MAX_ROWS);
    let end = this.#products + MAX_ROWS * 4 * Math.max(0, ...mixturesOf(model).map(productsOf));
    this.#placed = model.layers.map((phases, layer) =>
      phases.map((phase, number) => {
        const router = routers[layer]![number];
        if (phase.kind !== 'experts' || router === null || router === undefined) return null;
        const address = end;
        const products = productsOf(phase);
        end += matrixBytes('F32', products, cols);
        const experts = phase.experts.length;
        return {
          chooser: new ExpertChooser({ ...phase.routing, choiceBias: router.choiceBias }, experts),
          format: placeRouter(engine.arena, router, model.dim, cols, address),
          ...{ weights: address, products, experts, bias: router.bias, gatesShared: router.sharedGate !== null },
        };
      }),
    );
  }

  /**
   * Writes which networks rows use, from what is in the engine's input as f32.
   * @throws StarlingError numeric_overflow
   */
  route(layer: number, phase: number, rows: RowRange): void {
    const { first, count } = rows;
    const placed = this.#placed[layer]![phase]!;
    const { kernels, arena, spec } = this.#engine;
    const { format, weights, products, experts, bias } = placed;
    const stride = activationBytes('f32', spec.cols);
    kernels.packPanel('f32', this.#engine.input('f32', first), stride, spec.cols, count, this.#panel);
    kernels.matmul(format, weights, products, spec.cols, this.#panel, count, this.#products, products * 4);
    const values = f32View(arena, this.#products, count * products);
    const bytes = this.#engine.routes(expertsOf(spec, layer, phase)!, rows);
    const routes = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const perRow = bytes.length / count;
    for (let row = 0; row < count; row++) {
      const scores = values.subarray(row * products, (row + 1) * products);
      if (!areFinite(scores)) {
        throw new StarlingError(
          'numeric_overflow',
          `a row's routes in layer ${layer} are not finite: the model file is damaged or its weights are out of range`,
        );
      }
      const own = scores.subarray(0, experts);
      if (bias !== null) for (let i = 0; i < experts; i++) own[i] = own[i]! + bias[i]!;
      const choice = placed.chooser.choose(own);
      let at = row * perRow;
      for (let i = 0; i < choice.networks.length; i++, at += 8) {
        routes.setUint32(at, choice.networks[i]!, true);
        routes.setFloat32(at + 4, choice.weights[i]!, true);
      }
      // The shared network's slot, where there is one.
      if (at === (row + 1) * perRow) continue;
      routes.setUint32(at, experts, true);
      routes.setFloat32(at + 4, placed.gatesShared ? sigmoid(scores[experts]!) : 1, true);
    }
  }
}

function areFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
