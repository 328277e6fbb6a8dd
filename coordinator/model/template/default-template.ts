/** ChatML, as Qwen and many fine-tunes write it. */
export const CHATML_TEMPLATE = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;

/** The header format of Llama 3. */
export const LLAMA3_TEMPLATE = `{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}`;

/** For models without any marker tokens: a transcript. */
export const PLAIN_TEMPLATE = `{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}{% else %}{{ message['role'] | capitalize + ': ' + message['content'] + '\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}`;

/**
 * The template of a model whose file has none, from the marker tokens of its vocabulary.
 * @param hasToken whether the vocabulary has a token of exactly this text
 */
export function defaultTemplate(hasToken: (text: string) => boolean): string {
  if (hasToken('<|im_start|>')) return CHATML_TEMPLATE;
  if (hasToken('<|start_header_id|>')) return LLAMA3_TEMPLATE;
  return PLAIN_TEMPLATE;
}
