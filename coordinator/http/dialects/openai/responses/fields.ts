import { atMost, EMPTY, type Field, NOTHING, only } from '../field.ts';
import { done, ignored, refused } from '../field-table.ts';

const ROUTE = { routes: ['responses'] } as const;
const LIMIT = 'use "max_output_tokens"';
const FORM = 'use "text.format"';

/** What becomes of the fields that clients of OpenAI send to have a response made. */
export const RESPONSE_FIELDS: readonly Field[] = [
  ...done('input', 'a text, or a list of messages, reasoning, calls of functions and their outputs', ROUTE),
  ...done('instructions', 'the system message; not taken over from the response before', ROUTE),
  ...done('previous_response_id', 'a response that is kept in memory, whose conversation goes on', ROUTE),
  ...done('store', '`false` keeps nothing of the response', ROUTE),
  ...done('metadata', 'up to 16 texts, which the response repeats', ROUTE),
  ...done('model', 'the served name, or `starling`', ROUTE),
  ...done('max_output_tokens', 'most tokens of the answer, reasoning included: none for 0, no limit for -1', ROUTE),
  ...done('temperature top_p top_k min_p seed', 'as in chat completions', ROUTE),
  ...done('stop stop_token_ids ignore_eos min_tokens', 'as in chat completions', ROUTE),
  ...done('frequency_penalty presence_penalty', 'as in chat completions', ROUTE),
  ...done('repetition_penalty repeat_penalty repeat_last_n logit_bias', 'as in chat completions', ROUTE),
  ...done('chat_template_kwargs enable_thinking', 'variables for the chat template', ROUTE),
  ...done('user priority timeout', 'how the request stands beside others', ROUTE),
  ...done('include', '`message.output_text.logprobs` for log probabilities; others of OpenAI’s change nothing', ROUTE),
  ...done('top_logprobs', 'how many of the likeliest tokens to list with each token', ROUTE),
  ...done('tools', 'functions that the model may call; all other tools are refused', ROUTE),
  ...done('tool_choice', '`auto`, `none`, `required`, or the function to call', ROUTE),
  ...done('parallel_tool_calls', '`false` for one call at most', ROUTE),
  ...done('text', '`format`: `text`, `json_object`, or `json_schema`, which is always kept to', ROUTE),
  ...done('reasoning', '`effort` for the chat template, which may know it; nothing is summed up', ROUTE),
  ...done('stream stream_options', 'named events', ROUTE),
  ...ignored('prompt_cache_key prompt_cache_retention prompt_cache_options', 'beginnings are always kept', ROUTE),
  ...ignored('service_tier', 'where and when it is computed; the text stays the same', ROUTE),
  ...ignored('safety_identifier client_metadata', 'nothing here depends on it', ROUTE),
  ...ignored('max_tool_calls', 'limits calls of tools that are not here', ROUTE),
  ...refused('background', EMPTY, 'the answer comes with the response; leave it out', ROUTE),
  ...refused('conversation', EMPTY, 'use "previous_response_id"', ROUTE),
  ...refused('prompt', EMPTY, 'templates of prompts are not kept here; use "instructions" and "input"', ROUTE),
  ...refused('messages', EMPTY, 'use "input"', ROUTE),
  ...refused('truncation', only('disabled'), 'nothing is ever dropped; send a shorter "input"', ROUTE),
  ...refused('context_management', EMPTY, 'nothing is ever dropped; send a shorter "input"', ROUTE),
  ...refused('moderation', EMPTY, 'nothing is moderated; leave it out', ROUTE),
  ...refused('n', only(1), 'a response has one answer; ask again, or use "n" of POST /v1/chat/completions', ROUTE),
  ...refused('max_tokens max_completion_tokens n_predict', atMost(-1), LIMIT, ROUTE),
  ...refused('response_format json_schema grammar guided_json guided_regex', EMPTY, FORM, ROUTE),
  ...refused('guided_choice guided_grammar structured_outputs', EMPTY, FORM, ROUTE),
  ...refused('reasoning_effort', EMPTY, 'use "reasoning.effort"', ROUTE),
  ...refused('verbosity', only('medium'), 'ask for a short or long answer in words', ROUTE),
  ...refused('audio', NOTHING, 'answers are text; leave it out', ROUTE),
  ...refused('extra_body', EMPTY, 'its fields belong beside "model"; clients put them there', ROUTE),
];
