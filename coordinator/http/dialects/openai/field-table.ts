import { atLeast, atMost, EMPTY, either, type Field, type Neutral, NOTHING, only, TEXT_ROUTES } from './field.ts';

const BOTH = { routes: TEXT_ROUTES };
const CHAT = { routes: ['chat'] } as const;
const COMPLETIONS = { routes: ['completions'] } as const;
type Routes = Pick<Field, 'routes'>;

const each = (names: string, field: Omit<Field, 'name'>): Field[] =>
  names.split(' ').map((name) => ({ name, ...field }));
export const done = (names: string, about: string, routes: Routes = BOTH): Field[] =>
  each(names, { ...routes, treatment: { kind: 'done' }, about });
export const ignored = (names: string, about: string, routes: Routes = BOTH): Field[] =>
  each(names, { ...routes, treatment: { kind: 'ignored' }, about });
export const refused = (names: string, neutral: Neutral, about: string, routes: Routes = BOTH): Field[] =>
  each(names, { ...routes, treatment: { kind: 'refused', neutral }, about });

const NO_TEMPLATE = 'a prompt goes through no template; use POST /v1/chat/completions';
const NO_SHIFT = 'the beginning of a text is never dropped; shorten it, or serve with a larger --context';
const OWN_TEMPLATE = 'messages go through the template of the model file; or use POST /v1/completions';
const THINK = 'where the template knows it, give "enable_thinking"';
const CONTINUED = 'a prompt is always continued; leave it out';
const OTHER_SAMPLER = 'sample with "temperature", "top_k", "top_p" and "min_p"';
const OTHER_PENALTY = 'use "repetition_penalty", "frequency_penalty" or "presence_penalty"';
const PART_OF = (name: string): string => `says how \`${name}\` works, which is refused`;

const withoutTools: Neutral = {
  words: 'an empty list, or any with `"tool_choice": "none"`',
  holds: (value, body) => EMPTY.holds(value, body) || body.tool_choice === 'none',
  examples: [[]],
};
const noCall = either(only('none', 'auto'), EMPTY);
const textOnly: Neutral = {
  words: '`["text"]`',
  holds: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
  examples: [['text'], []],
};
const unlessContinued: Neutral = {
  words: '`true`, `false` with `"continue_final_message": true`',
  holds: (value, body) => value === true || (value === false && body.continue_final_message === true),
  examples: [true],
};
const thinkingOff: Neutral = {
  words: '`{"type": "disabled"}`, empty',
  holds: (value) => isTyped(value, 'disabled') || EMPTY.holds(value, {}),
  examples: [{ type: 'disabled' }, {}],
};

function isTyped(value: unknown, type: string): boolean {
  return typeof value === 'object' && value !== null && (value as { type?: unknown }).type === type;
}

/**
 * What becomes of every field that clients of OpenAI, llama.cpp, vLLM, Ollama, LM Studio, text-generation-inference,
 * text-generation-webui, KoboldCpp and OpenRouter are known to send. A field that changes the answer is done or
 * refused; the names of fields that are not here are logged.
 */
export const FIELDS: readonly Field[] = [
  ...done(
    'messages',
    'the conversation; a last message of the assistant is a turn like others, unless it is to be continued',
    CHAT,
  ),
  ...done('prompt', 'texts or token ids to continue', COMPLETIONS),
  ...refused('messages', EMPTY, 'use POST /v1/chat/completions', COMPLETIONS),
  ...refused('prompt', EMPTY, 'use "messages", or POST /v1/completions', CHAT),
  ...done('model', 'the served name, or `starling`'),
  ...done('max_tokens', 'most tokens of the answer: none for 0, no limit for -1'),
  ...done('max_completion_tokens', 'the same, and comes first', CHAT),
  ...refused('max_completion_tokens', atMost(-1), 'use "max_tokens"', COMPLETIONS),
  ...done('n_predict', 'as `max_tokens`, which comes first'),
  ...refused('max_new_tokens max_output_tokens max_length', atMost(-1), 'use "max_tokens"'),
  ...done('temperature', 'from 0, always the likeliest token, to 2'),
  ...done('top_k', 'keep so many of the likeliest tokens; 0 and less keep all'),
  ...done('top_p', 'keep the likeliest tokens that together reach this probability'),
  ...done('min_p', 'drop tokens below this share of the likeliest'),
  ...done('seed', 'the same seed draws the same text; a negative one is none'),
  ...done('stop', 'texts before which the answer ends'),
  ...done('stop_token_ids', 'tokens before which it ends'),
  ...done('ignore_eos', 'the model may not end its text itself'),
  ...done('min_tokens', 'before so many tokens the answer does not end'),
  ...done('n', 'answers to each prompt'),
  ...done('frequency_penalty presence_penalty', 'for tokens that the answer has already'),
  ...done('repetition_penalty', 'for tokens that prompt or answer have already'),
  ...done('repeat_penalty', 'the same, for the last `repeat_last_n` tokens'),
  ...done('repeat_last_n', 'reach of `repeat_penalty`: 64 by default, -1 for all, 0 for none'),
  ...done('logit_bias', 'added to the logits of token ids'),
  ...done('logprobs', 'log probabilities of the answer'),
  ...done('top_logprobs', 'how many of the likeliest tokens to list', CHAT),
  ...refused('top_logprobs', atMost(0), 'give the number as "logprobs"', COMPLETIONS),
  ...done('echo', 'the prompt before the answer, and with `logprobs` those of its tokens', COMPLETIONS),
  ...refused('echo', EMPTY, 'use POST /v1/completions', CHAT),
  ...done('suffix', 'what comes after the text that is written, for models with tokens for that', COMPLETIONS),
  ...done('stream stream_options', 'events; `include_usage` for a last one with the usage'),
  ...done('user priority timeout', 'how the request stands beside others'),
  ...done('chat_template_kwargs', 'further variables for the chat template', CHAT),
  ...refused('chat_template_kwargs', EMPTY, NO_TEMPLATE, COMPLETIONS),

  ...ignored('metadata store safety_identifier', 'nothing is kept of a request'),
  ...ignored(
    'prompt_cache_key prompt_cache_retention prompt_cache_options cache_prompt cache_salt',
    'beginnings are always kept',
  ),
  ...ignored(
    'service_tier id_slot request_id kv_transfer_params',
    'where and when it is computed; the text stays the same',
  ),
  ...ignored('prediction draft_model', 'guesses change the speed, not the text'),
  ...ignored(
    'speculative.n_max speculative.n_min speculative.p_min prompt_lookup_num_tokens',
    'guesses change the speed, not the text',
  ),
  ...ignored('keep_alive ttl', 'the model stays loaded'),
  ...ignored('n_keep n_discard truncation_length max_context_length', 'nothing is ever dropped from a text'),
  ...ignored('provider models route', 'there is one model and nobody else to ask'),
  ...ignored(
    'usage return_tokens return_token_ids return_progress timings_per_token response_fields details',
    'the answer has the shape of OpenAI’s API',
  ),
  ...ignored(
    'spaces_between_special_tokens mm_processor_kwargs backend_sampling static_cache extra_headers extra_query',
    'nothing here depends on it',
  ),
  ...ignored('dynatemp_exponent', PART_OF('dynatemp_range')),
  ...ignored('dynatemp_low dynatemp_high', PART_OF('dynamic_temperature')),
  ...ignored('dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers', PART_OF('dry_multiplier')),
  ...ignored('xtc_threshold', PART_OF('xtc_probability')),
  ...ignored('mirostat_tau mirostat_eta', PART_OF('mirostat')),
  ...ignored('adaptive_decay', PART_OF('adaptive_target')),
  ...ignored('smoothing_curve', PART_OF('smoothing_factor')),
  ...ignored('grammar_triggers preserved_tokens', PART_OF('grammar_lazy')),
  ...ignored('guided_decoding_backend', 'a form is kept to in one way only'),

  ...done('tools', 'functions that the model may call, where its chat template knows of tools', CHAT),
  ...done('tool_choice', '`auto`, `none`, `required`, or the function to call', CHAT),
  ...done('parallel_tool_calls', '`false` for one call at most', CHAT),
  ...refused('tools', withoutTools, NO_TEMPLATE, COMPLETIONS),
  ...refused('tool_choice', noCall, NO_TEMPLATE, COMPLETIONS),
  ...ignored('parallel_tool_calls', PART_OF('tools'), COMPLETIONS),
  ...refused('parse_tool_calls', only(true), 'calls are always told from text; leave it out'),
  ...refused('functions', EMPTY, 'use "tools"', CHAT),
  ...refused('functions', EMPTY, NO_TEMPLATE, COMPLETIONS),
  ...refused('function_call', noCall, 'use "tool_choice"', CHAT),
  ...refused('function_call', noCall, NO_TEMPLATE, COMPLETIONS),
  ...refused('tool_prompt', EMPTY, 'the chat template says how tools are told; leave it out'),
  ...done('response_format', '`json_object`, or `json_schema` with a schema, which is always kept to; `text`'),
  ...done('json_schema guided_json', 'JSON by this schema'),
  ...done('grammar grammar_string guided_grammar', 'a text of this grammar, in GBNF'),
  ...done('guided_regex', 'a text that this expression matches as a whole'),
  ...done('guided_choice', 'one of these texts'),
  ...done('structured_outputs', 'one of `json`, `json_object`, `regex`, `choice` and `grammar`'),
  ...refused('grammar_lazy', EMPTY, 'a grammar holds from the beginning; leave it out'),
  ...refused('guided_whitespace_pattern', EMPTY, 'JSON by a schema is on one line; leave it out'),
  ...refused('structural_tag', EMPTY, 'use "grammar"'),
  ...refused('format', EMPTY, 'use "response_format"'),
  ...refused('verbosity', only('medium'), 'ask for a short or long answer in words'),
  ...refused('audio', NOTHING, 'answers are text; leave it out'),
  ...refused('modalities', textOnly, 'only ["text"] is'),
  ...refused('images image_data multimodal_data', EMPTY, 'only text is read; leave it out'),
  ...refused('web_search_options', NOTHING, 'this server searches nothing; leave it out'),
  ...refused('search_parameters plugins', EMPTY, 'this server searches nothing; leave it out'),
  ...refused('moderation', EMPTY, 'nothing is moderated; leave it out'),
  ...refused('safe_prompt', EMPTY, 'put the instruction into a message or the prompt'),
  ...done('reasoning_effort enable_thinking', 'variables for the chat template, which may know them', CHAT),
  ...refused('reasoning_effort', only('medium', 'none'), NO_TEMPLATE, COMPLETIONS),
  ...refused('enable_thinking think reasoning', EMPTY, NO_TEMPLATE, COMPLETIONS),
  ...refused('thinking', thinkingOff, NO_TEMPLATE, COMPLETIONS),
  ...refused('think reasoning', EMPTY, THINK, CHAT),
  ...refused('thinking', thinkingOff, THINK, CHAT),
  ...refused('thinking_budget thinking_token_budget', atMost(-1), 'limit the answer with "max_tokens"'),
  ...done(
    'reasoning_format',
    '`none` leaves reasoning in `content`; `auto`, the default, and `deepseek` tell it apart as `reasoning_content`',
    CHAT,
  ),
  ...refused(
    'reasoning_format',
    either(only('none', 'auto'), EMPTY),
    'only answers of POST /v1/chat/completions are taken apart',
    COMPLETIONS,
  ),
  ...done('include_reasoning', '`false` leaves out the reasoning that is told apart', CHAT),
  ...ignored('include_reasoning', 'reasoning is part of the text', COMPLETIONS),

  ...done('continue_final_message', 'the answer goes on with the last message, which is the assistant’s', CHAT),
  ...refused('continue_final_message continue_', EMPTY, CONTINUED, COMPLETIONS),
  ...refused('continue_', EMPTY, 'use "continue_final_message"', CHAT),
  ...refused(
    'add_generation_prompt',
    unlessContinued,
    'the answer is a turn of its own; use "continue_final_message"',
    CHAT,
  ),
  ...refused('add_generation_prompt', only(true), CONTINUED, COMPLETIONS),
  ...refused('chat_template instruction_template instruction_template_str template', EMPTY, OWN_TEMPLATE, CHAT),
  ...refused('chat_template instruction_template instruction_template_str template', EMPTY, NO_TEMPLATE, COMPLETIONS),
  ...refused('documents', EMPTY, 'put them into a message, or into "chat_template_kwargs"', CHAT),
  ...refused('documents', EMPTY, 'put them into "prompt"', COMPLETIONS),
  ...refused('system instructions', EMPTY, 'use a system message', CHAT),
  ...refused('system instructions', EMPTY, NO_TEMPLATE, COMPLETIONS),
  ...refused('input', EMPTY, 'use "messages"', CHAT),
  ...refused('input', EMPTY, 'use "prompt"', COMPLETIONS),
  ...refused('previous_response_id context', EMPTY, 'send the whole conversation; its beginning is not computed again'),
  ...refused('raw', EMPTY, 'use POST /v1/completions', CHAT),
  ...refused('raw', EMPTY, 'a prompt goes through no template; leave it out', COMPLETIONS),
  ...refused('options', EMPTY, 'give the fields beside "model"'),
  ...refused('extra_body', EMPTY, 'its fields belong beside "model"; clients put them there'),
  ...refused('add_special_tokens', only(false), 'the template says which there are; use POST /v1/completions', CHAT),
  ...refused('add_special_tokens', only(true), 'give token ids as "prompt"', COMPLETIONS),
  ...refused('add_bos_token', only(true), 'give token ids as "prompt" of POST /v1/completions'),

  ...refused('suffix', EMPTY, 'use POST /v1/completions', CHAT),
  ...refused('input_prefix input_suffix input_extra', EMPTY, 'use POST /infill'),
  ...refused('best_of', only(1), 'use "n" and choose among the answers'),
  ...refused('use_beam_search', EMPTY, OTHER_SAMPLER),
  ...refused('length_penalty', only(1, 0), OTHER_SAMPLER),
  ...refused('context_shift', only(false), NO_SHIFT),
  ...refused('truncate_prompt_tokens', only(false), NO_SHIFT),
  ...refused('truncate', EMPTY, NO_SHIFT),
  ...refused('truncation', only('disabled', false), NO_SHIFT),
  ...refused('transforms', EMPTY, NO_SHIFT),
  ...refused('n_indent', atMost(0), 'leave it out'),
  ...refused('t_max_predict_ms', atMost(0), 'use "timeout", in seconds'),
  ...refused('return_full_text', EMPTY, 'use "echo" of POST /v1/completions'),
  ...refused('include_stop_str_in_output', EMPTY, 'the answer ends before the text of "stop"; append it yourself'),
  ...refused('skip_special_tokens', only(true), 'control tokens are never shown; leave it out'),
  ...refused('stop_sequences stop_sequence stopping_strings custom_stopping_strings', EMPTY, 'use "stop"'),
  ...refused('random_seed', atMost(-1), 'use "seed"'),
  ...refused('prompt_logprobs', only(false), 'use "echo" with "logprobs" of POST /v1/completions'),
  ...refused('decoder_input_details', EMPTY, 'use "echo" with "logprobs" of POST /v1/completions'),
  ...refused('n_probs top_n_tokens', atMost(0), 'use "logprobs"'),
  ...refused(
    'post_sampling_probs return_tokens_as_token_ids',
    EMPTY,
    '"logprobs" are those of the model, with texts of tokens',
  ),

  ...refused('bad_words banned_tokens custom_token_bans', EMPTY, 'use "logit_bias" with -100'),
  ...refused('allowed_token_ids', EMPTY, 'use "logit_bias"'),
  ...refused('logits_processors', EMPTY, 'use "logit_bias"'),
  ...refused('vllm_xargs', EMPTY, 'give the fields that are meant'),
  ...refused('ban_eos_token', EMPTY, 'use "ignore_eos"'),
  ...refused('do_sample', only(true), 'use "temperature": 0'),
  ...refused(
    'samplers sampler_priority sampler_order sampler_seq',
    EMPTY,
    'the order is bias and penalties, "top_k", "top_p", "min_p", "temperature"',
  ),
  ...refused('temperature_last', only(true), '"temperature" always comes last; leave it out'),
  ...refused('min_keep', atMost(1), OTHER_SAMPLER),
  ...refused('typical_p typical', either(atLeast(1), atMost(0)), OTHER_SAMPLER),
  ...refused('tfs tfs_z', atLeast(1), OTHER_SAMPLER),
  ...refused('top_a epsilon_cutoff eta_cutoff smoothing_factor', atMost(0), OTHER_SAMPLER),
  ...refused('top_n_sigma nsigma', atMost(0), OTHER_SAMPLER),
  ...refused('dynatemp_range', atMost(0), OTHER_SAMPLER),
  ...refused('dynamic_temperature', EMPTY, OTHER_SAMPLER),
  ...refused('mirostat mirostat_mode', atMost(0), OTHER_SAMPLER),
  ...refused('xtc_probability', atMost(0), OTHER_SAMPLER),
  ...refused('adaptive_target', atMost(-1e-9), OTHER_SAMPLER),
  ...refused('penalty_alpha', atMost(0), OTHER_SAMPLER),
  ...refused('guidance_scale', only(1), 'computed once for each token; leave it out'),
  ...refused('negative_prompt', EMPTY, 'say in words what you do not want'),
  ...refused('dry_multiplier', atMost(0), OTHER_PENALTY),
  ...refused('no_repeat_ngram_size', atMost(0), OTHER_PENALTY),
  ...refused('encoder_repetition_penalty', only(1), OTHER_PENALTY),
  ...refused('rep_pen', only(1), 'use "repetition_penalty"'),
  ...refused('repetition_penalty_range rep_pen_range', atMost(0), 'use "repeat_penalty" with "repeat_last_n"'),
  ...refused('rep_pen_slope', only(1, 0), 'use "repeat_penalty" with "repeat_last_n"'),
  ...refused('watermark', EMPTY, 'leave it out'),
  ...refused('lora lora_request', EMPTY, 'adapters are not applied; serve a model file that has it'),
];
