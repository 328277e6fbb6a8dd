import { CHAT } from '../../test/fixtures/batch-folder.ts';
import type { Value } from './hostile-formats.ts';

/** Stands for the id of a file that is there. */
export const KNOWN_FILE = 'file-known';

type Body = { [name: string]: Value };

const SCHEMA: Value = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 20, pattern: '^[a-z]+$' },
    age: { type: 'integer', minimum: 0, maximum: 150 },
    tags: { type: 'array', items: { enum: ['a', 'b'] }, maxItems: 3 },
    next: { $ref: '#/$defs/next' },
  },
  required: ['name'],
  additionalProperties: false,
  $defs: { next: { anyOf: [{ type: 'null' }, { $ref: '#' }] } },
};
const TOOLS: Value = [
  { type: 'function', function: { name: 'f', description: 'does it', parameters: SCHEMA } },
  { type: 'function', function: { name: 'g', parameters: { type: 'object', properties: {} } } },
];
const CALL: Value = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"name":"a"}' } };
const DIALOGUE: Value = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: [{ type: 'text', text: 'Who are you?' }] },
  { role: 'assistant', content: null, tool_calls: [CALL] },
  { role: 'tool', tool_call_id: 'call_1', content: '{"ok":true}' },
  { role: 'user', content: 'Go on.' },
];
const ASK: Value = [{ role: 'user', content: 'Hello.' }];
const SAMPLING: Body = {
  temperature: 0.7,
  top_p: 0.9,
  top_k: 40,
  min_p: 0.05,
  seed: 7,
  stop: ['\n', 'end'],
  n: 2,
  frequency_penalty: 0.5,
  presence_penalty: -0.5,
  repeat_penalty: 1.1,
  logit_bias: { '5': 1.5 },
  max_tokens: 2,
  min_tokens: 1,
  stop_token_ids: [3],
};
const ANTHROPIC: Body = {
  model: 'tiny',
  max_tokens: 2,
  system: [{ type: 'text', text: 'Be brief.' }],
  messages: [
    { role: 'user', content: 'Who are you?' },
    {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: 'Hm.', signature: '' },
        { type: 'tool_use', id: 't1', name: 'f', input: { name: 'a' } },
      ],
    },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: [{ type: 'text', text: 'ok' }] }] },
  ],
  tools: [{ name: 'f', description: 'does it', input_schema: SCHEMA }],
  tool_choice: { type: 'auto', disable_parallel_tool_use: true },
  thinking: { type: 'enabled', budget_tokens: 1024 },
};
const OLLAMA_OPTIONS: Value = { temperature: 0, num_predict: 2, seed: 1, stop: ['x'], top_k: 3, num_ctx: 2048 };
const RAW_OLLAMA = { model: 'tiny', prompt: 'Once', raw: true, options: OLLAMA_OPTIONS };

const CHATS: readonly Body[] = [
  { model: 'tiny', messages: ASK, max_tokens: 1 },
  { model: 'tiny', messages: DIALOGUE, tools: TOOLS, tool_choice: 'auto', max_tokens: 2, stream: true },
  { messages: ASK, tools: TOOLS, tool_choice: 'required', parallel_tool_calls: false, max_tokens: 2 },
  { messages: ASK, response_format: { type: 'json_schema', json_schema: { name: 's', schema: SCHEMA, strict: true } } },
  { messages: ASK, response_format: { type: 'json_object' }, stream: true, stream_options: { include_usage: true } },
  { messages: ASK, ...SAMPLING, logprobs: true, top_logprobs: 3, user: 'u', priority: 'batch', timeout: 60 },
  { messages: ASK, structured_outputs: { regex: '[a-z]+(\\d{2}|x)?' } },
  { messages: ASK, reasoning_effort: 'low', chat_template_kwargs: { enable_thinking: false } },
  {
    messages: [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hel' },
    ],
    continue_final_message: true,
  },
];
const COMPLETIONS: readonly Body[] = [
  { model: 'tiny', prompt: 'Once upon', max_tokens: 1 },
  { prompt: ['a', 'b'], ...SAMPLING, logprobs: 2, echo: true, stream: true },
  { prompt: [1, 2, 3], max_tokens: 1, grammar: 'root ::= "a" [0-9]+ b?\nb ::= " " root | "."' },
  { prompt: [[1], [2, 3]], guided_choice: ['yes', 'no'] },
  { prompt: 'a = ', suffix: ' + 1', max_tokens: 2 },
  { prompt: 'x', guided_regex: '(a|b)*c{2,5}', guided_json: null },
];
const FLAT_TOOL: Value = { type: 'function', name: 'f', parameters: SCHEMA, strict: true };
const RESPONSES: readonly Body[] = [
  { model: 'tiny', input: 'Hello.', instructions: 'Be brief.', max_output_tokens: 2, metadata: { a: 'b' } },
  {
    input: [
      { role: 'developer', content: [{ type: 'input_text', text: 'Be brief.' }] },
      { type: 'message', role: 'user', content: 'Who are you?' },
      { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'Hm.' }] },
      { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{"name":"a"}' },
      { type: 'function_call_output', call_id: 'c1', output: 'ok' },
      { type: 'item_reference', id: 'msg_0' },
    ],
    tools: [FLAT_TOOL],
    tool_choice: 'auto',
    parallel_tool_calls: true,
    reasoning: { effort: 'low' },
    include: ['reasoning.encrypted_content'],
    prompt_cache_key: 'k',
    store: false,
    stream: true,
  },
  {
    input: 'Hello.',
    text: { format: { type: 'json_schema', name: 's', schema: SCHEMA, strict: true } },
    top_logprobs: 2,
  },
  { input: 'Hello.', previous_response_id: 'resp_0', temperature: 0.5, top_p: 0.9, truncation: 'disabled' },
];
const EMBEDDINGS: readonly Body[] = [
  { model: 'tiny', input: 'a text' },
  { input: ['a', 'b'], encoding_format: 'base64', dimensions: 8, user: 'u' },
  { input: [[1, 2], [3]], pooling: 'mean' },
];

/** Bodies that are taken, by the path that they go to; those of OpenAI's API below either root. */
export const VALID_BODIES: Readonly<Record<string, readonly Body[]>> = {
  '/chat/completions': CHATS,
  '/completions': COMPLETIONS,
  '/responses': RESPONSES,
  '/embeddings': EMBEDDINGS,
  '/batches': [
    { input_file_id: KNOWN_FILE, endpoint: CHAT, completion_window: '24h', metadata: { a: 'b' } },
    { input_file_id: KNOWN_FILE, endpoint: '/v1/completions', completion_window: '1h' },
  ],
  '/v1/messages': [
    ANTHROPIC,
    { model: 'tiny', max_tokens: 1, messages: ASK, stream: true, temperature: 0.5, top_k: 3, stop_sequences: ['x'] },
    { messages: ASK, max_tokens: 2, output_config: { format: { type: 'json_schema', schema: SCHEMA } } },
    { messages: ASK, max_tokens: 2, tools: ANTHROPIC.tools!, tool_choice: { type: 'tool', name: 'f' }, stream: true },
  ],
  '/v1/messages/count_tokens': [ANTHROPIC, { messages: ASK }],
  '/api/generate': [
    { model: 'tiny', prompt: 'Once', system: 'Be brief.', stream: false, options: OLLAMA_OPTIONS },
    { ...RAW_OLLAMA, keep_alive: '5m' },
    { ...RAW_OLLAMA, format: SCHEMA, think: false },
  ],
  '/api/chat': [
    { model: 'tiny:latest', messages: ASK, options: OLLAMA_OPTIONS, format: 'json' },
    {
      model: 'tiny',
      stream: false,
      tools: TOOLS,
      think: 'high',
      messages: [
        ...(ASK as Value[]),
        { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: { name: 'a' } } }] },
        { role: 'tool', tool_name: 'f', content: 'ok' },
      ],
    },
  ],
  '/api/embed': [{ model: 'tiny', input: ['a', 'b'], truncate: true, dimensions: 4, options: {} }],
  '/api/embeddings': [{ model: 'tiny', prompt: 'a' }],
  '/api/show': [{ model: 'tiny', verbose: true }, { name: 'tiny' }],
  '/api/pull': [{ model: 'tiny', stream: false }],
  '/tokenize': [
    { content: 'Hello <|end|>', add_special: true, with_pieces: true },
    { model: 'tiny', messages: DIALOGUE, tools: TOOLS, add_generation_prompt: true },
  ],
  '/apply-template': [{ messages: DIALOGUE, tools: TOOLS }],
  '/infill': [
    { input_prefix: 'a = ', input_suffix: ' + 1', prompt: '', n_predict: 2, stream: true },
    { input_prefix: 'a', input_suffix: 'b', input_extra: [{ filename: 'x.py', text: 'import y' }], samplers: [] },
  ],
  '/detokenize': [{ tokens: [1, 2, 3, 600] }],
};
