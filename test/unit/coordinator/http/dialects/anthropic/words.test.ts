import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_TEXT } from '../../../../../../coordinator/generation/answer-split.ts';
import { messageBody, messageStream } from '../../../../../../coordinator/http/dialects/anthropic/words.ts';
import { TWO_CALLS } from '../../../../../fixtures/call-pieces.ts';

const HEAD = { id: 'msg_1', model: 'm' };
const USAGE = { promptTokens: 9, cachedTokens: 4, completionTokens: 3, reasoningTokens: 1 };
const TIMINGS = { queueMs: 0, prefillMs: 0, decodeMs: 0 };

test('blocks begin, grow and stop one after the other', () => {
  const words = messageStream(HEAD);
  const token = { type: 'token', choice: 0, token: 5 } as const;
  const end = { type: 'end', choice: 0, finishReason: 'tool_calls', usage: USAGE, timings: TIMINGS } as const;
  const framed = [
    ...words.event({ ...token, reasoning: 'Hm', text: '' }),
    ...words.event({ ...token, reasoning: '.', text: 'Yes' }),
    ...words.event({ ...token, reasoning: '', text: '!', calls: TWO_CALLS.slice(0, 3) }),
    ...words.event({ ...end, reasoning: '', text: '', calls: TWO_CALLS.slice(3) }),
    ...words.closing(USAGE),
  ];
  const events = framed.map((text) => {
    const [, name, data] = /^event: (\w+)\ndata: (.*)\n\n$/.exec(text)!;
    const event = JSON.parse(data!) as { type: string; index?: number; delta?: object; usage?: object };
    assert.equal(event.type, name);
    return event;
  });
  const shown = events.map(({ type, index, delta }) => [type.replace('content_block_', ''), index, delta]);
  assert.deepEqual(shown, [
    ['start', 0, undefined],
    ['delta', 0, { type: 'thinking_delta', thinking: 'Hm' }],
    ['delta', 0, { type: 'thinking_delta', thinking: '.' }],
    ['stop', 0, undefined],
    ['start', 1, undefined],
    ['delta', 1, { type: 'text_delta', text: 'Yes' }],
    ['delta', 1, { type: 'text_delta', text: '!' }],
    ['stop', 1, undefined],
    ['start', 2, undefined],
    ['delta', 2, { type: 'input_json_delta', partial_json: '{"at"' }],
    ['delta', 2, { type: 'input_json_delta', partial_json: ':1}' }],
    ['stop', 2, undefined],
    ['start', 3, undefined],
    ['delta', 3, { type: 'input_json_delta', partial_json: '{}' }],
    ['stop', 3, undefined],
    ['message_delta', undefined, { stop_reason: 'tool_use', stop_sequence: null }],
    ['message_stop', undefined, undefined],
  ]);
});

test('a whole message has a block for each part', () => {
  const last = { reasoning: '', text: '' };
  const answer = { index: 0, text: 'Yes', reasoning: 'Hm.', calls: TWO_CALLS, tokens: [], last, timings: TIMINGS };
  const { content, stop_reason, usage } = messageBody(HEAD, { ...answer, finishReason: 'length' }, USAGE) as {
    content: unknown;
    stop_reason: string;
    usage: object;
  };
  assert.deepEqual(content, [
    { type: 'thinking', thinking: 'Hm.', signature: '' },
    { type: 'text', text: 'Yes' },
    { type: 'tool_use', id: 'a', name: 'look', input: { at: 1 } },
    { type: 'tool_use', id: 'b', name: 'wait', input: {} },
  ]);
  assert.equal(stop_reason, 'max_tokens');
  assert.deepEqual(usage, {
    input_tokens: 5,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 4,
    output_tokens: 3,
  });
});

test('a stop text that ended an answer is told, unless there are calls to make', () => {
  const answer = {
    index: 0,
    text: 'Yes',
    reasoning: '',
    calls: [],
    tokens: [],
    last: NO_TEXT,
    timings: TIMINGS,
    stopText: '.',
  };
  const stopOf = (finishReason: 'stop' | 'tool_calls'): object => {
    const { stop_reason, stop_sequence } = messageBody(HEAD, { ...answer, finishReason }, USAGE) as Record<
      string,
      unknown
    >;
    return { stop_reason, stop_sequence };
  };
  assert.deepEqual(stopOf('stop'), { stop_reason: 'stop_sequence', stop_sequence: '.' });
  assert.deepEqual(stopOf('tool_calls'), { stop_reason: 'tool_use', stop_sequence: null });
});
