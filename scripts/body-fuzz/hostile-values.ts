import type { Random } from '../../test/fixtures/random.ts';
import { hostileGrammar, hostilePattern, hostileSchema, setOwn, type Value } from './hostile-formats.ts';

const NUMBERS: readonly number[] = [
  ...[0, -0, 1, -1, -2, 2, 0.1, -0.5, 8, 16, 20, 64, 255, 256, 511, 512, 640, 1023, 4096, 100_000, 1e9],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32, -(2 ** 31), 2 ** 53, 2 ** 53 + 2, 2 ** 63, -(2 ** 63), 2 ** 64, 1e21, -1e21],
  ...[1e-7, 5e-324, 1e-300, 1e300, 1.7976931348623157e308, -1.7976931348623157e308, 0.30000000000000004],
];

const STRINGS: readonly string[] = [
  ...[
    '',
    ' ',
    '\n',
    '\0',
    '\u0001',
    '\ufeff',
    '\ud800',
    '\udc00a',
    '\u202e',
    'é',
    'e\u0301',
    '漢字',
    '😀',
    '👨‍👩‍👧',
    '\u{10ffff}',
  ],
  ...[
    'null',
    'NaN',
    'Infinity',
    'true',
    '0',
    '-1',
    '1e999',
    '[]',
    '{}',
    '{"a":',
    '"',
    "'",
    '\\',
    '../..',
    'a/b',
    '%00',
  ],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then', 'length', 'valueOf', 'toJSON'],
  ...[
    '<|user|>',
    '<|end|>',
    '<|assistant|>',
    '<|endoftext|>',
    '<s>',
    '<think>',
    '</think>',
    '<tool_call>',
    '</tool_call>',
  ],
  ...['{{ messages }}', '{% for %}', '{{', '%}', '{#', '<tool_call>\n{"name": "f", "arguments": {', '[TOOL_CALLS]'],
  ...['system', 'user', 'assistant', 'tool', 'developer', 'function', 'text', 'json', 'json_object', 'json_schema'],
  ...['auto', 'none', 'required', 'any', 'enabled', 'high', 'low', 'batch', 'tiny', 'starling', 'tiny:latest', '24h'],
  ...['image_url', 'tool_use', 'tool_result', 'thinking', 'call_0', 'f', 'file-0', 'mean', 'last', 'base64', 'float'],
];

const FIELDS: readonly string[] = [
  ...['__proto__', 'constructor', 'toString', '', 'id', 'name', 'type', 'role', 'content', 'text', 'model', 'stream'],
  ...['tools', 'tool_choice', 'response_format', 'format', 'grammar', 'guided_regex', 'guided_json', 'guided_choice'],
  ...['structured_outputs', 'json_schema', 'stop', 'n', 'logprobs', 'top_logprobs', 'logit_bias', 'max_tokens', 'seed'],
  ...['temperature', 'top_p', 'top_k', 'min_p', 'echo', 'suffix', 'options', 'think', 'thinking', 'system', 'raw'],
  ...['chat_template_kwargs', 'continue_final_message', 'stream_options', 'timeout', 'priority', 'min_tokens', 'input'],
  ...[
    'keep_alive',
    'tool_calls',
    'tool_call_id',
    'arguments',
    'function',
    'parameters',
    'prompt',
    'messages',
    'context',
  ],
];

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function', ''];
const LONG = [100, 300, 600, 2000, 20_000, 100_000];
const DEEP = [2, 10, 100, 400, 1000, 10_000, 100_000];

/** Any number that JSON has a word for. */
export const hostileNumber = (random: Random): number =>
  random.chance(0.8) ? random.pick(NUMBERS) : (random.unit() - 0.5) * 10 ** random.between(-5, 20);

/** A text; seldom one of up to 100 000 characters. */
export function hostileText(random: Random): string {
  if (random.chance(0.03)) return random.pick(STRINGS).repeat(random.between(2, 200));
  if (random.chance(0.01))
    return random.pick(['a', 'ab ', '\ud800', ' ', '漢', '"', '\u0000']).repeat(random.pick(LONG));
  return random.chance(0.7) ? random.pick(STRINGS) : random.pick(STRINGS) + random.pick(STRINGS);
}

/** The name of a field that some dialect knows, or of one that every object has. */
export const hostileField = (random: Random): string =>
  random.chance(0.9) ? random.pick(FIELDS) : hostileText(random).slice(0, 100);

/** Stands for nested lists or objects, which `withNests` writes: JSON.stringify goes only so deep. */
const nested = (random: Random): Value => `nest ${random.pick(DEEP)} ${random.pick(['list', 'object'])}`;

/** Levels of all nested values of a body: more would be larger than any server reads. */
const MOST_LEVELS = 1_000_000;

/** A text of JSON with what stands in it for nested values made so. */
export function withNests(json: string): string {
  let left = MOST_LEVELS;
  return json.replace(/"nest (\d+) (list|object)"/g, (_, depth: string, kind: string) => {
    const [open, close] = kind === 'list' ? ['[', ']'] : ['{"a":', '}'];
    const levels = Math.min(Number(depth), left);
    left -= levels;
    return `${open.repeat(levels)}1${close.repeat(levels)}`;
  });
}

function hostileMessages(random: Random): Value {
  return Array.from({ length: random.between(0, 6) }, () => {
    const message: Value = { role: random.pick(ROLES), content: hostileText(random) };
    if (random.chance(0.3)) message.content = [{ type: random.pick(['text', 'tool_result', 'thinking']), text: 'a' }];
    if (random.chance(0.3)) setOwn(message, hostileField(random), hostileValue(random));
    return message;
  });
}

function hostileTools(random: Random): Value {
  return Array.from({ length: random.between(0, 3) }, () => {
    const name = random.chance(0.7) ? 'f' : hostileText(random);
    const schema = hostileSchema(random);
    if (random.chance(0.4)) return { name, input_schema: schema };
    return { type: 'function', function: { name, description: hostileText(random), parameters: schema } };
  });
}

const KINDS: readonly ((random: Random) => Value)[] = [
  hostileNumber,
  hostileNumber,
  hostileText,
  hostileText,
  (random) =>
    random.pick<Value>([
      null,
      true,
      false,
      [],
      {},
      [[]],
      [null],
      [{}],
      { '': null },
      Array.from({ length: 600 }, () => ({})),
    ]),
  (random) => Array.from({ length: random.between(1, 5) }, () => hostileNumber(random)),
  (random) => Array.from({ length: random.between(1, 5) }, () => hostileText(random)),
  hostileSchema,
  hostilePattern,
  hostileGrammar,
  hostileMessages,
  hostileTools,
];

/** Any value. */
export function hostileValue(random: Random): Value {
  if (random.chance(0.005)) return nested(random);
  if (random.chance(0.005)) return Array(random.pick(LONG)).fill(random.pick<Value>([0, 'a', null]));
  return random.pick(KINDS)(random);
}
