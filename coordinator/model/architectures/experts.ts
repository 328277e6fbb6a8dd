import type { ActivationFunction } from '../../../kernels/formats.ts';
import type { Treatment } from '../metadata-keys.ts';
import type { ModelSource } from '../model-source.ts';
import type { ExpertsPhase, Gating, Matrix, Network, Projection } from '../spec.ts';
import { allOrNone, bias, type FrameOptions, frame, projection, weight } from './phases.ts';

/** The keys that say how rows are routed. */
export const EXPERT_KEYS: Readonly<Record<string, Treatment>> = {
  expert_used_count: 'read',
  expert_feed_forward_length: 'read',
  expert_shared_feed_forward_length: 'read',
  expert_weights_scale: 'read',
  expert_weights_norm: 'read',
  expert_gating_func: 'read',
  expert_group_count: [0, 1],
  expert_group_used_count: [0, 1],
};

/** What tensors do not tell of a mixture; where the file says otherwise, it comes first. */
export interface ExpertsOptions extends FrameOptions {
  readonly gating?: Gating;
  /** Whether the weights of the chosen networks are made to sum to one. */
  readonly normalised: boolean;
  readonly activation?: ActivationFunction;
}

export interface ExpertSizes {
  readonly dim: number;
  readonly experts: number;
  readonly used: number;
  /** Columns of each network, and of the shared one where the file says. */
  readonly ffDim: number;
  readonly sharedFfDim: number | null;
}

/** @param ffDim of each network where the file does not say @throws StarlingError model_invalid */
export function readExpertSizes(source: ModelSource, dim: number, ffDim?: number): ExpertSizes {
  const experts = source.integer('expert_count', 1, 1024);
  return {
    dim,
    experts,
    used: source.integer('expert_used_count', 1, Math.min(experts, 64)),
    ffDim: source.integer('expert_feed_forward_length', 1, 2 ** 20, ffDim),
    sharedFfDim: source.has('expert_shared_feed_forward_length')
      ? source.integer('expert_shared_feed_forward_length', 0, 2 ** 20)
      : null,
  };
}

/** A mixture as the tensors of a layer give it. @throws StarlingError model_invalid, model_unsupported_tensor_type */
export function expertsPhase(
  source: ModelSource,
  layer: number,
  sizes: ExpertSizes,
  options: ExpertsOptions,
): ExpertsPhase {
  const { tensors } = source;
  const { dim, experts, used, ffDim } = sizes;
  const choiceBias = bias(layer, 'exp_probs_b');
  const downBias = bias(layer, 'ffn_down_exps');
  const gates = stacked(source, layer, 'ffn_gate_exps', experts, ffDim, dim);
  const ups = stacked(source, layer, 'ffn_up_exps', experts, ffDim, dim);
  const downs = tensors.matrices(weight(layer, 'ffn_down_exps'), experts, dim, ffDim);
  allOrNone(source, [gates[0]!, ups[0]!]);
  return {
    kind: 'experts',
    ...frame(source, layer, dim, { inputNorm: 'ffn_norm', ...options }, null),
    routing: {
      router: projection(source, layer, 'ffn_gate_inp', experts, dim),
      gating: readGating(source, options.gating ?? 'softmax'),
      choiceBias: tensors.has(choiceBias) ? tensors.whole(choiceBias, experts) : null,
      used,
      normalised: source.boolean('expert_weights_norm', options.normalised),
      scale: readScale(source),
    },
    experts: gates.map((gate, i): Network => ({ gate, up: ups[i]!, down: downs[i]! })),
    activation: options.activation ?? 'silu',
    downBiases: tensors.has(downBias) ? tensors.vectors(downBias, experts, dim) : null,
    shared: sharedNetwork(source, layer, sizes),
  };
}

function sharedNetwork(
  { tensors }: ModelSource,
  layer: number,
  { dim, ffDim, sharedFfDim }: ExpertSizes,
): ExpertsPhase['shared'] {
  if (!tensors.has(weight(layer, 'ffn_gate_shexp'))) return null;
  const width = sharedFfDim ?? ffDim;
  const plain = (part: string, rows: number, cols: number): Matrix => tensors.matrix(weight(layer, part), rows, cols);
  const gate = weight(layer, 'ffn_gate_inp_shexp');
  return {
    gate: { weight: plain('ffn_gate_shexp', width, dim), bias: null },
    up: { weight: plain('ffn_up_shexp', width, dim), bias: null },
    down: plain('ffn_down_shexp', dim, width),
    routerGate: tensors.has(gate) ? tensors.whole(gate, dim) : null,
  };
}

/** One matrix a network, and their biases where the file has them. */
function stacked(
  { tensors }: ModelSource,
  layer: number,
  part: string,
  count: number,
  rows: number,
  cols: number,
): Projection[] {
  const matrices = tensors.matrices(weight(layer, part), count, rows, cols);
  const biases = tensors.has(bias(layer, part)) ? tensors.vectors(bias(layer, part), count, rows) : null;
  return matrices.map((matrix, i) => ({ weight: matrix, bias: biases?.[i] ?? null }));
}

/** As llama.cpp numbers them; 0 leaves it to the architecture. */
const GATINGS: readonly (Gating | null)[] = [null, 'softmax', 'sigmoid', 'softmax-of-chosen'];

function readGating(source: ModelSource, fallback: Gating): Gating {
  return GATINGS[source.integer('expert_gating_func', 0, GATINGS.length - 1, 0)] ?? fallback;
}

/** A scale of 0 is none. */
function readScale(source: ModelSource): number {
  const scale = source.number('expert_weights_scale', 1);
  return scale === 0 ? 1 : source.positive('expert_weights_scale', 1);
}
