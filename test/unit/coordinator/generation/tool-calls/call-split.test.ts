import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CallSplit, type CallSyntax } from '../../../../../coordinator/generation/tool-calls/call-split.ts';
import {
  CODER,
  GEMMA,
  GRANITE,
  HERMES,
  LLAMA3,
  MISTRAL,
  NAMES,
  object,
  split,
  told,
} from '../../../../fixtures/call-split.ts';

/** A text as single characters, whole, and cut at each place. */
function* cuts(text: string): Generator<string[]> {
  yield text.split('');
  for (let at = 0; at < text.length; at++) yield [text.slice(0, at), text.slice(at)];
}

type Case = readonly [written: string, told: string];

function check(syntax: CallSyntax, cases: readonly Case[]): void {
  for (const [written, expected] of cases) {
    for (const pieces of cuts(written)) assert.equal(split(syntax, pieces), expected, JSON.stringify(pieces));
  }
}

const OSLO = '{"city": "Oslo"}';
const hermesCall = (name: string, args: string): string => `<tool_call>\n${object(name, args)}\n</tool_call>`;

describe('calls in the form of Hermes and Qwen', () => {
  it('are told from text before, between and after, however the answer is cut', () => {
    check(HERMES, [
      ['Hello.\n', 'Hello.\n'],
      [' Hello', ' Hello'],
      ['', ''],
      [hermesCall('get_weather', OSLO), `⟨0:id0:get_weather ${OSLO}⟩`],
      [
        `Let me see.\n\n${hermesCall('get_weather', OSLO)}\n${hermesCall('get_time', '{}')}\n`,
        `Let me see.⟨0:id0:get_weather ${OSLO}⟩⟨1:id1:get_time {}⟩`,
      ],
      [`${hermesCall('get', '{}')}\n\nDone. \n`, '⟨0:id0:get {}⟩Done. \n'],
      [`A ${hermesCall('get', '{}')}\nB${hermesCall('get', '{}')}`, 'A⟨0:id0:get {}⟩\nB⟨1:id1:get {}⟩'],
      // The mark after a call is left out, or the calls stand in a list.
      [`<tool_call>${object('get', '{}')}\n<tool_call>${object('get', '{}')}`, '⟨0:id0:get {}⟩⟨1:id1:get {}⟩'],
      [
        `<tool_call>[${object('get', '{}')}, ${object('get_time', '{}')}]</tool_call>`,
        '⟨0:id0:get {}⟩⟨1:id1:get_time {}⟩',
      ],
    ]);
  });

  it('keep their arguments as written: braces and marks in strings, escapes, unfinished surrogates, every kind of value', () => {
    for (const args of [
      '{"a": "}{]</tool_call>\\"}"}',
      '{"a": "\\u00e9\\ud83d\\ude00\\\\", "ü😀": "\\/\\b\\f\\n\\r\\t"}',
      '{"a": "\\ud83d"}',
      '{"a": [1, -0.5e+10, 0, true, false, null, [], {}, [[{"b": []}]]], "c": {"d": {"e": ""}}}',
      '{ }',
      '{\n  "a" :\t1\n}',
    ]) {
      JSON.parse(args);
      check(HERMES, [[hermesCall('get', args), `⟨0:id0:get ${args}⟩`]]);
    }
  });

  it('are found in what other models write within the marks', () => {
    check(HERMES, [
      [`<tool_call>${object('get', OSLO, 'parameters')}</tool_call>`, `⟨0:id0:get ${OSLO}⟩`],
      [`<tool_call>{"arguments": ${OSLO}, "name": "get"}</tool_call>`, `⟨0:id0:get ${OSLO}⟩`],
      [`<tool_call>{"id": "x", "type": "function", "name": "get"}</tool_call>`, '⟨0:id0:get {}⟩'],
      [`<tool_call>{"name": "get", "arguments": ${JSON.stringify(OSLO)}}</tool_call>`, `⟨0:id0:get ${OSLO}⟩`],
      [`<tool_call>{"arguments": ${OSLO}, "name": "get", "id": "x"}</tool_call>`, `⟨0:id0:get ${OSLO}⟩`],
    ]);
  });

  it('are text where they are none', () => {
    const same = (text: string): Case => [text, text];
    check(HERMES, [
      same('<tool_call>\nnothing\n</tool_call>'),
      same(`Yes: ${hermesCall('unknown', '{}')} no`),
      same(hermesCall('get', '[]')),
      same(hermesCall('get', '1')),
      same(hermesCall('get', '"[]"')),
      same(hermesCall('get', '"{"')),
      same('<tool_call>{"name": 5, "arguments": {}}</tool_call>'),
      same('<tool_call>{"name": "get", "name": "get"}</tool_call>'),
      same('<tool_call>{"name": "get", "other": 1}</tool_call>'),
      same('<tool_call>{}</tool_call>'),
      same('<tool_call>[]</tool_call>'),
      same('<tool_call>{"arguments": {}}</tool_call>'),
      same(' <tool_cal l> a < b <'),
      same('</tool_call>\n'),
      same('<tool_call>'),
      same('x <tool_call> {"name": "ge'),
      same(object('get', '{}')),
      [`<tool_call>oops ${hermesCall('get', '{}')}`, '<tool_call>oops⟨0:id0:get {}⟩'],
      [`<<tool_<tool_call>${object('get', '{}')}</tool_call>`, '<<tool_⟨0:id0:get {}⟩'],
    ]);
  });

  it('that break off end incomplete, and what follows is text', () => {
    check(
      HERMES,
      [
        ['<tool_call>{"name": "get", "arguments": {"a": "b', '⟨0:id0:get {"a": "b!⟩'],
        ['<tool_call>{"name": "get", "arguments": {', '⟨0:id0:get {!⟩'],
        ['<tool_call>{"name": "get", "arguments": {}', '⟨0:id0:get {}⟩'],
        [`${hermesCall('get', '{}')}\n<tool_call>{"nam`, '⟨0:id0:get {}⟩<tool_call>{"nam'],
        [hermesCall('get', '{}').slice(0, -3), '⟨0:id0:get {}⟩'],
        [hermesCall('get', "{'a': 1}"), `⟨0:id0:get {!⟩'a': 1}}\n</tool_call>`],
        [hermesCall('get', '{"a": 01}'), `⟨0:id0:get {"a": 01!⟩}}\n</tool_call>`],
        [hermesCall('get', '{"a": "\\x"}'), `⟨0:id0:get {"a": "\\!⟩x"}}\n</tool_call>`],
        [hermesCall('get', '{"a",}'), `⟨0:id0:get {"a"!⟩,}}\n</tool_call>`],
        ['<tool_call>{"name": "get", "arguments": {}, "more": 1}', '⟨0:id0:get {}⟩": 1}'],
      ].map(([written, expected]) => [written!, expected!] as const),
    );
  });

  it('are streamed: only what may still become a mark or a call waits', () => {
    const calls = new CallSplit(HERMES, { names: NAMES, newId: String });
    const pieces = [
      'Let',
      ' me',
      '\n',
      '<',
      'b> <tool',
      '_call>',
      '\n{"na',
      'me": "get"',
      ', "arguments":',
      ' {"a"',
      ': 1',
      '}}',
      '\n</',
    ];
    assert.deepEqual(
      pieces.map((piece) => told(calls.push(piece))),
      ['Let', ' me', '', '', '\n<b>', '', '', '', '', '⟨0:0:get {"a"', ': 1', '}⟩', ''],
    );
  });
});

describe('calls in the form of Mistral', () => {
  it('are read as a list and as names with arguments', () => {
    check(MISTRAL, [
      [
        `[TOOL_CALLS] [${object('get_weather', OSLO)}, {"name": "get_time", "arguments": {}, "id": "abcdefghi"}]`,
        `⟨0:id0:get_weather ${OSLO}⟩⟨1:id1:get_time {}⟩`,
      ],
      [`See:[TOOL_CALLS]get_weather[ARGS]${OSLO}`, `See:⟨0:id0:get_weather ${OSLO}⟩`],
      [
        `[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]${OSLO}[TOOL_CALLS]get_time{}`,
        `⟨0:id0:get_weather ${OSLO}⟩⟨1:id1:get_time {}⟩`,
      ],
      [`[TOOL_CALLS]${object('get', '{}')}`, '⟨0:id0:get {}⟩'],
      ['[TOOL_CALLS][{"name": "get", "arguments": {"a": [', '⟨0:id0:get {"a": [!⟩'],
      [`[TOOL_CALLS][${object('get', '{}')}, {"name`, '⟨0:id0:get {}⟩, {"name'],
      [`[TOOL_CALLS][${object('get', '{}')},`, '⟨0:id0:get {}⟩'],
    ]);
  });

  it('are text where they are none', () => {
    check(
      MISTRAL,
      [
        '[TOOL_CALLS]unknown[ARGS]{}',
        '[TOOL_CALLS]get_weather[ARGS]x',
        '[TOOL_CALLS]get_w{}',
        '[TOOL_CALLS][1]',
        'a [TOOL',
        '[1, [2]]',
      ].map((text) => [text, text] as const),
    );
  });
});

describe('calls in the form of Granite', () => {
  it('are a list after the mark', () => {
    check(GRANITE, [
      [
        `<|tool_call|>[${object('get_weather', OSLO)}, ${object('get', '{}')}]`,
        `⟨0:id0:get_weather ${OSLO}⟩⟨1:id1:get {}⟩`,
      ],
      ['<|tool_call|>[]', '<|tool_call|>[]'],
      ['<|tool_call', '<|tool_call'],
    ]);
  });
});

describe('calls in the form of Llama 3', () => {
  it('begin the answer, or follow the mark', () => {
    const call = object('get_weather', OSLO, 'parameters');
    check(LLAMA3, [
      [call, `⟨0:id0:get_weather ${OSLO}⟩`],
      [`\n${call}\n`, `⟨0:id0:get_weather ${OSLO}⟩`],
      [`<|python_tag|>${call}`, `⟨0:id0:get_weather ${OSLO}⟩`],
      [`${call}; ${object('get_time', '{}', 'parameters')}`, `⟨0:id0:get_weather ${OSLO}⟩⟨1:id1:get_time {}⟩`],
      [`${call}\n${object('get_time', '{}')}`, `⟨0:id0:get_weather ${OSLO}⟩⟨1:id1:get_time {}⟩`],
      [`{"type": "function", ${object('get', '{}', 'parameters').slice(1)}`, '⟨0:id0:get {}⟩'],
      [`${call}, then`, `⟨0:id0:get_weather ${OSLO}⟩, then`],
    ]);
  });

  it('are text elsewhere, and so is JSON that is none', () => {
    const call = object('get_weather', OSLO, 'parameters');
    for (const text of [
      `It is ${call}`,
      '{"answer": 42}',
      '[1, 2]',
      '{"name": "Ada", "age": 36}',
      '<|python_tag|>get.call(a="b")',
      '{',
    ]) {
      check(LLAMA3, [[text, text]]);
    }
  });
});

describe('calls in the form of Gemma', () => {
  it('are the whole answer, a list, or in a code block', () => {
    const call = object('get_weather', OSLO, 'parameters');
    const code = (text: string, language = 'json'): string => `\`\`\`${language}\n${text}\n\`\`\``;
    check(GEMMA, [
      [call, `⟨0:id0:get_weather ${OSLO}⟩`],
      [`[${call}, ${object('get', '{}')}]\n`, `⟨0:id0:get_weather ${OSLO}⟩⟨1:id1:get {}⟩`],
      [`Sure:\n${code(call)}\nDone`, `Sure:⟨0:id0:get_weather ${OSLO}⟩\nDone`],
      [code(`[${call}]`, 'tool_code'), `⟨0:id0:get_weather ${OSLO}⟩`],
      [`A:\n${code('{"a": 1}')}\n`, `A:\n${code('{"a": 1}')}\n`],
      [code('print(1)', 'python'), code('print(1)', 'python')],
    ]);
  });
});

describe('calls in the form of Qwen 3 Coder', () => {
  const argument = (key: string, value: string): string => `<parameter=${key}>\n${value}\n</parameter>\n`;
  const call = (name: string, ...given: string[]): string =>
    `<tool_call>\n<function=${name}>\n${given.join('')}</function>\n</tool_call>`;

  it('have arguments of any type, in tags', () => {
    check(CODER, [
      [
        `See.\n\n${call('get')}\n${call('get_time', argument('n', '1'))}`,
        'See.⟨0:id0:get {}⟩⟨1:id1:get_time {"n": 1}⟩',
      ],
      [
        call('get', argument('a', '[1, {"b": null}]'), argument('b', 'True')),
        '⟨0:id0:get {"a": [1, {"b": null}], "b": true}⟩',
      ],
      [call('get', argument('a', 'Oslo'), argument('b', '"x"')), '⟨0:id0:get {"a": "Oslo", "b": "x"}⟩'],
      [call('get', argument('text', '1'), argument('text2', 'null')), '⟨0:id0:get {"text": "1", "text2": "null"}⟩'],
      [call('get', argument('text', '')), '⟨0:id0:get {"text": ""}⟩'],
      [
        call('get', argument('text', '\n a\t"\\\n\n</par> < 😀\n')),
        '⟨0:id0:get {"text": "\\n a\\t\\"\\\\\\n\\n</par> < 😀\\n"}⟩',
      ],
      ['<tool_call><function=get><parameter=text>x</parameter></function></tool_call>', '⟨0:id0:get {"text": "x"}⟩'],
    ]);
  });

  it('are text where they are none, and end incomplete where they break off', () => {
    const same = (text: string): Case => [text, text];
    check(CODER, [
      same(call('unknown')),
      same('<tool_call>\n<function=ge'),
      same('<tool_call>{"name": "get", "arguments": {}}</tool_call>'),
      same('<tool_call>[<function=get>'),
      same(call('get').slice('<tool_call>'.length)),
      ['<tool_call><function=get>', '⟨0:id0:get {!⟩'],
      ['<tool_call><function=get>\n<parameter=text>\nab', '⟨0:id0:get {"text": "ab!⟩'],
      ['<tool_call><function=get>\nHi', '⟨0:id0:get {!⟩Hi'],
      [call('get', argument('a', '1'), '<parameter=a>!'), '⟨0:id0:get {"a": 1!⟩>!</function>\n</tool_call>'],
    ]);
  });

  it('are streamed where they are text', () => {
    const calls = new CallSplit(CODER, { names: NAMES, newId: String, isText: () => true });
    calls.push('<tool_call>\n<function=get>\n<parameter=text>\n');
    assert.deepEqual(
      ['ab', '\n', 'c\n</para', 'meter>\n'].map((piece) => told(calls.push(piece))),
      ['ab', '', '\\nc', '"'],
    );
  });
});
