import { StarlingError } from '../../daemon/errors.ts';
import type { Metadata, MetadataValue } from './gguf/metadata.ts';
import { shown } from './gguf/shown.ts';

/**
 * What is done about a key: `read` where its value is used, `aside` where it changes neither prompts nor arithmetic of
 * this architecture (also in llama.cpp), or the values that change nothing; with any other the model is refused.
 */
export type Treatment = 'read' | 'aside' | readonly (number | string | boolean)[];

const OFF = [0] as const;
const OFF_OR_ONE = [0, 1] as const;

/** Keys without an architecture's name in front. */
export const GENERAL_KEYS: Readonly<Record<string, Treatment>> = {
  'general.architecture': 'read',
  'general.alignment': 'read',
  'general.name': 'read',
  'general.type': ['model'],
  'general.quantization_version': 'aside',
  'general.file_type': 'aside',
  'general.author': 'aside',
  'general.version': 'aside',
  'general.url': 'aside',
  'general.description': 'aside',
  'general.license': 'aside',
  'general.source.url': 'aside',
  'general.source.huggingface.repository': 'aside',
  // Advice about sampling, which clients choose.
  'general.sampling.sequence': 'aside',
  'general.sampling.top_k': 'aside',
  'general.sampling.top_p': 'aside',
  'general.sampling.min_p': 'aside',
  'general.sampling.xtc_probability': 'aside',
  'general.sampling.xtc_threshold': 'aside',
  'general.sampling.temp': 'aside',
  'general.sampling.penalty_last_n': 'aside',
  'general.sampling.penalty_repeat': 'aside',
  'general.sampling.mirostat': 'aside',
  'general.sampling.mirostat_tau': 'aside',
  'general.sampling.mirostat_eta': 'aside',
  'split.no': 'read',
  'split.count': 'read',
  'split.tensors.count': 'read',
  'tokenizer.ggml.model': 'read',
  'tokenizer.ggml.pre': 'read',
  'tokenizer.ggml.tokens': 'read',
  'tokenizer.ggml.token_type': 'read',
  'tokenizer.ggml.token_type_count': 'aside',
  'tokenizer.ggml.scores': 'read',
  'tokenizer.ggml.merges': 'read',
  'tokenizer.ggml.bos_token_id': 'read',
  'tokenizer.ggml.eos_token_id': 'read',
  'tokenizer.ggml.eos_token_ids': 'read',
  'tokenizer.ggml.eot_token_id': 'read',
  'tokenizer.ggml.eom_token_id': 'read',
  'tokenizer.ggml.unknown_token_id': 'read',
  'tokenizer.ggml.seperator_token_id': 'aside',
  'tokenizer.ggml.padding_token_id': 'aside',
  'tokenizer.ggml.cls_token_id': 'aside',
  'tokenizer.ggml.mask_token_id': 'aside',
  'tokenizer.ggml.add_bos_token': 'read',
  // For embeddings: a prompt with an end behind it would not be continued.
  'tokenizer.ggml.add_eos_token': 'read',
  'tokenizer.ggml.add_sep_token': 'aside',
  'tokenizer.ggml.add_space_prefix': 'read',
  'tokenizer.ggml.remove_extra_whitespaces': 'read',
  'tokenizer.ggml.precompiled_charsmap': 'read',
  // Of BERT's tokenizer.
  'tokenizer.ggml.normalizer.lowercase': 'aside',
  'tokenizer.ggml.normalizer.strip_accents': 'aside',
  'tokenizer.huggingface.json': 'aside',
  'tokenizer.rwkv.world': 'aside',
  'tokenizer.chat_template': 'read',
  'tokenizer.ggml.fim_pre_token_id': 'read',
  'tokenizer.ggml.fim_suf_token_id': 'read',
  'tokenizer.ggml.fim_mid_token_id': 'read',
  'tokenizer.ggml.fim_pad_token_id': 'read',
  'tokenizer.ggml.fim_rep_token_id': 'read',
  'tokenizer.ggml.fim_sep_token_id': 'read',
  'tokenizer.ggml.prefix_token_id': 'read',
  'tokenizer.ggml.suffix_token_id': 'read',
  'tokenizer.ggml.middle_token_id': 'read',
  'tokenizer.ggml.suppress_tokens': [],
  'adapter.type': [],
  'adapter.lora.alpha': [],
  'adapter.lora.task_name': [],
  'adapter.lora.prompt_prefix': [],
  'adapter.alora.invocation_tokens': [],
  'xielu.alpha_n': [],
  'xielu.alpha_p': [],
  'xielu.beta': [],
  'xielu.eps': [],
};

/**
 * Keys of an architecture, without its name in front. What one uses beside these, its file in architectures/ says; the
 * rest is what llama.cpp does about llama, and refused where other values would mean something else.
 */
export const ARCHITECTURE_KEYS: Readonly<Record<string, Treatment>> = {
  context_length: 'read',
  embedding_length: 'read',
  block_count: 'read',
  feed_forward_length: 'read',
  expert_count: 'read',
  vocab_size: 'aside',
  embedding_length_out: 'aside',
  embedding_length_per_layer_input: OFF,
  features_length: 'aside',
  leading_dense_block_count: 'aside',
  // Without experts, what else is said of them says nothing.
  expert_used_count: 'aside',
  expert_feed_forward_length: 'aside',
  expert_shared_feed_forward_length: 'aside',
  expert_chunk_feed_forward_length: 'aside',
  expert_shared_count: 'aside',
  expert_group_count: 'aside',
  expert_group_used_count: 'aside',
  expert_weights_scale: 'aside',
  expert_weights_norm: 'aside',
  expert_gating_func: 'aside',
  expert_group_scale: 'aside',
  experts_per_group: 'aside',
  moe_every_n_layers: 'aside',
  moe_latent_size: 'aside',
  interleave_moe_layer_step: 'aside',
  router_logit_softcapping: 'aside',
  swiglu_clamp_exp: 'aside',
  swiglu_clamp_shexp: 'aside',
  use_parallel_residual: [false],
  // How the file was converted.
  tensor_data_layout: 'aside',
  nextn_predict_layers: OFF,
  n_deepstack_layers: OFF,
  deepstack_mapping: OFF,
  hidden_activation: ['silu', 'swish', 'swiglu'],
  pooling_type: 'read',
  // Of classes and of layers after the last, for which it is not asked.
  'classifier.output_labels': 'aside',
  dense_2_feat_in: 'aside',
  dense_2_feat_out: 'aside',
  dense_3_feat_in: 'aside',
  dense_3_feat_out: 'aside',
  logit_scale: OFF_OR_ONE,
  residual_scale: OFF_OR_ONE,
  embedding_scale: OFF_OR_ONE,
  decoder_start_token_id: 'aside',
  decoder_block_count: OFF,
  // llama.cpp computes neither caps nor windows for this architecture, whose files have them from other programs.
  attn_logit_softcapping: 'aside',
  final_logit_softcapping: 'aside',
  'attention.sliding_window': 'aside',
  'attention.sliding_window_pattern': 'aside',
  'attention.key_length_swa': 'aside',
  'attention.value_length_swa': 'aside',
  'rope.dimension_count_swa': 'aside',
  'rope.freq_base_swa': 'aside',
  swin_norm: [false],
  rescale_every_n_layers: OFF,
  time_mix_extra_dim: OFF,
  time_decay_extra_dim: OFF,
  token_shift_count: OFF,
  full_attention_interval: OFF_OR_ONE,
  'attention.head_count': 'read',
  'attention.head_count_kv': 'read',
  'attention.key_length': 'read',
  'attention.value_length': 'read',
  'attention.layer_norm_rms_epsilon': 'read',
  'attention.layer_norm_epsilon': 'aside',
  'attention.group_norm_epsilon': 'aside',
  'attention.group_norm_groups': OFF,
  'attention.max_alibi_bias': OFF,
  'attention.clamp_kqv': OFF,
  'attention.causal': [true],
  'attention.q_lora_rank': OFF,
  'attention.kv_lora_rank': OFF,
  'attention.decay_lora_rank': OFF,
  'attention.iclr_lora_rank': OFF,
  'attention.value_residual_mix_lora_rank': OFF,
  'attention.gate_lora_rank': OFF,
  'attention.relative_buckets_count': OFF,
  'attention.scale': OFF,
  'attention.output_scale': OFF_OR_ONE,
  'attention.value_scale': OFF_OR_ONE,
  'attention.temperature_length': OFF,
  'attention.temperature_scale': OFF,
  'attention.key_length_mla': OFF,
  'attention.value_length_mla': OFF,
  'attention.indexer.head_count': OFF,
  'attention.indexer.key_length': OFF,
  'attention.indexer.top_k': OFF,
  'attention.output_group_count': OFF,
  'attention.output_lora_rank': OFF,
  'attention.compress_rope_freq_base': OFF,
  'attention.compress_ratios': OFF,
  'attention.shared_kv_layers': OFF,
  'attention.recurrent_layers': OFF,
  'hyper_connection.count': OFF,
  'hyper_connection.sinkhorn_iterations': OFF,
  'hyper_connection.epsilon': 'aside',
  hash_layer_count: OFF,
  'rope.dimension_count': 'read',
  'rope.dimension_sections': OFF,
  'rope.freq_base': 'read',
  'rope.scale_linear': 'read',
  'rope.scaling.type': 'read',
  'rope.scaling.factor': 'read',
  'rope.scaling.attn_factor': 'read',
  'rope.scaling.alpha': OFF_OR_ONE,
  'rope.scaling.original_context_length': 'read',
  'rope.scaling.finetuned': 'aside',
  'rope.scaling.yarn_log_multiplier': 'read',
  'rope.scaling.yarn_ext_factor': [1, -1],
  'rope.scaling.yarn_attn_factor': [1, -1],
  'rope.scaling.yarn_beta_fast': 'read',
  'rope.scaling.yarn_beta_slow': 'read',
  'ssm.conv_kernel': OFF,
  'ssm.inner_size': OFF,
  'ssm.state_size': OFF,
  'ssm.time_step_rank': OFF,
  'ssm.group_count': OFF,
  'ssm.dt_b_c_rms': [false],
  'kda.head_dim': OFF,
  'wkv.head_size': OFF,
  'posnet.embedding_length': OFF,
  'posnet.block_count': OFF,
  'convnext.embedding_length': OFF,
  'convnext.block_count': OFF,
  target_layers: OFF,
  target_hidden_size: OFF,
  norm_before_residual: [false],
  'shortconv.l_cache': OFF,
};

/** An architecture, and what it does about keys otherwise than ARCHITECTURE_KEYS says. */
export interface KeyRules {
  readonly architecture: string;
  readonly keys: Readonly<Record<string, Treatment>>;
}

function treatmentOf(key: string, { architecture, keys }: KeyRules): Treatment | undefined {
  const prefix = `${architecture}.`;
  if (!key.startsWith(prefix)) return own(GENERAL_KEYS, key);
  const name = key.slice(prefix.length);
  return own(keys, name) ?? own(ARCHITECTURE_KEYS, name);
}

/** Not what every object has, such as `constructor`. */
const own = (table: Readonly<Record<string, Treatment>>, key: string): Treatment | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;

/**
 * Refuses a model whose file states something that would be computed otherwise than it says.
 * @throws StarlingError model_invalid naming the key
 */
export function checkKeys(path: string, metadata: Metadata, rules: KeyRules): void {
  for (const key of metadata.keys()) {
    const treatment = treatmentOf(key, rules);
    if (treatment === undefined || typeof treatment === 'string') continue;
    const found = metadata.get(key) as MetadataValue;
    if (!isNeutral(found, treatment)) throw refused(path, key, found);
  }
}

/** What a user should know of the architecture's keys: those that are not known here; null when there are none. */
export function noticeOfKeys(path: string, metadata: Metadata, rules: KeyRules): string | null {
  const prefix = `${rules.architecture}.`;
  const unknown = [...metadata.keys()].filter((key) => key.startsWith(prefix) && treatmentOf(key, rules) === undefined);
  if (unknown.length === 0) return null;
  const named = unknown.slice(0, 3).map(shown).join(', ');
  const others = unknown.length > 3 ? ` and ${unknown.length - 3} more` : '';
  return `${path}: ${named}${others} is not known here and not heeded; answers suffer if the model needs it`;
}

/** An array is neutral if all of it is; floats are compared as they are stored. */
function isNeutral(found: MetadataValue, neutral: Exclude<Treatment, string>): boolean {
  if (found.kind === 'numbers') return Array.from(found.value).every((value) => neutral.includes(value));
  if (found.kind === 'booleans' || found.kind === 'strings')
    return found.value.every((value) => neutral.includes(value));
  return neutral.some(
    (value) => value === found.value || (typeof value === 'boolean' && Number(value) === found.value),
  );
}

function refused(path: string, key: string, { kind, value }: MetadataValue): StarlingError {
  const isPart = key === 'general.type' || key.startsWith('adapter.');
  const said = kind === 'number' || kind === 'string' || kind === 'boolean' ? ` ${shown(String(value))}` : 'set';
  return new StarlingError(
    'model_invalid',
    isPart
      ? `${path}: ${key} is${said}, so this file is not a model by itself but a part of one or an adapter to one; name the model's own file`
      : `${path}: the metadata key ${key} is ${said.trim()}, which is not supported and would change what the model computes`,
    { param: key },
  );
}
