import type { GgufMetadata, GgufTensor, GgufValue } from '../gguf-writer.ts';
import { type ArchitectureModel, givenFloats, type ModelContent } from './architecture-model.ts';

/** A model with one feature switched off. */
export interface Ablation {
  readonly feature: string;
  readonly content: ModelContent;
}

/** What a key is replaced by; null: it is left out. Sizes are not here, as without them a file is not valid. */
const KEYS: Readonly<Record<string, GgufValue | null>> = {
  'attention.layer_norm_rms_epsilon': { type: 'float32', value: 1e-6 },
  'rope.freq_base': { type: 'float32', value: 500 },
  'rope.scaling.type': { type: 'string', value: 'linear' },
  'rope.scaling.factor': { type: 'float32', value: 1 },
  'rope.scaling.attn_factor': null,
  'rope.scaling.yarn_log_multiplier': null,
  'rope.scaling.yarn_beta_fast': null,
  'attention.temperature_scale': null,
  'attention.sliding_window': { type: 'uint32', value: 4096 },
  'attention.scale': null,
  attn_logit_softcapping: { type: 'float32', value: 1000 },
  final_logit_softcapping: { type: 'float32', value: 1000 },
  embedding_scale: null,
  residual_scale: null,
  logit_scale: { type: 'float32', value: 1 },
  expert_used_count: { type: 'uint32', value: 1 },
  expert_gating_func: { type: 'uint32', value: 1 },
  expert_weights_norm: null,
  expert_weights_scale: null,
};

/** Every feature of a model that its file can be without, except the unused: keys, and the tensors that are f32. */
export function ablations(
  { metadata, tensors }: ModelContent,
  { architecture, unused = [] }: Pick<ArchitectureModel, 'architecture' | 'unused'>,
): Ablation[] {
  const keys = Object.entries(KEYS)
    .map(([key, value]) => [`${architecture}.${key}`, value] as const)
    .filter(([key, value]) => metadata[key] !== undefined && metadata[key].value !== value?.value)
    .map(([key, value]) => ({ feature: key, content: { metadata: withKey(metadata, key, value), tensors } }));
  const kinds = new Set(tensors.filter(({ type }) => type === 'F32').map(kindOf));
  const neutral = [...kinds].map((kind) => ({
    feature: kind,
    content: { metadata, tensors: tensors.map((tensor) => (kindOf(tensor) === kind ? neutralised(tensor) : tensor)) },
  }));
  return [...keys, ...neutral].filter(({ feature }) => !unused.some((name) => feature.includes(name)));
}

function withKey(metadata: GgufMetadata, key: string, value: GgufValue | null): GgufMetadata {
  const { [key]: _, ...rest } = metadata;
  return value === null ? rest : { ...rest, [key]: value };
}

const kindOf = ({ name }: Pick<GgufTensor, 'name'>): string => name.replace(/^blk\.\d+\./, '');

/** Norms and factors of one, no biases, no choice of a router; a sink that no weight goes to. */
function neutralised(tensor: GgufTensor): GgufTensor {
  const size = tensor.dims.reduce((product, dim) => product * dim, 1);
  const value = /_norm|rope_/.test(tensor.name) ? 1 : tensor.name.includes('sinks') ? -1e4 : 0;
  return { ...tensor, fill: givenFloats(new Float32Array(size).fill(value)) };
}
