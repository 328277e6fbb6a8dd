import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AnswerEvent } from '../../../../../coordinator/generation/tool-calls/call-events.ts';
import { CallSplit } from '../../../../../coordinator/generation/tool-calls/call-split.ts';
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
import { Random } from '../../../../fixtures/random.ts';

describe('any text', () => {
  const PARTS = [
    '<tool_call>',
    '</tool_call>',
    '[TOOL_CALLS]',
    '[ARGS]',
    '<|python_tag|>',
    '<|tool_call|>',
    '```json',
    '```',
    '{',
    '}',
    '[',
    ']',
    ',',
    ';',
    '\n',
    ' ',
  ]
    .concat([
      '"name": "get"',
      '"arguments": {"a": "b"}',
      '"parameters": ',
      '"id": "1"',
      object('get', '{"a": 1}'),
      object('get_time', '{}'),
    ])
    .concat(['<function=get>', '<parameter=text>', '<parameter=n>', '</parameter>', '</function>'])
    .concat(['get', 'Hi', '\\', '"', '😀', '<', '\u0000', '{"name": "get", "arguments": {']);

  it('gives the same events however it is cut, calls in order, and arguments that are JSON where they are complete', () => {
    const random = new Random(17);
    for (let round = 0; round < 3000; round++) {
      const text = Array.from({ length: random.between(1, 14) }, () => random.pick(PARTS)).join('');
      const syntax = random.pick([HERMES, MISTRAL, GRANITE, LLAMA3, GEMMA, CODER]);
      const whole = split(syntax, [text]);
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = random.between(0, 6);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      assert.equal(split(syntax, pieces), whole, JSON.stringify(pieces));
      const events = new CallSplit(syntax, { names: NAMES, newId: String });
      checkOrder([...events.push(text), ...events.flush()], text);
    }
  });

  it('of any length is held back only so far', () => {
    for (const [syntax, start] of [
      [HERMES, '<tool_call>{"arguments": {"a": "'],
      [HERMES, '<tool_call>{"name": "get", "arguments": "'],
      [HERMES, `<tool_call>{${' '.repeat(1000)}`],
      [HERMES, '<tool_call>{"name": "'],
      [MISTRAL, '[TOOL_CALLS]get[ARGS]'],
      [MISTRAL, '[TOOL_CALLS]'],
      [LLAMA3, '{"id": "'],
      [CODER, '<tool_call><function='],
      [CODER, '<tool_call><function=get>'],
      [CODER, '<tool_call><function=get><parameter=n>'],
      [GEMMA, '\n'],
    ] as const) {
      const calls = new CallSplit(syntax, { names: NAMES, newId: String });
      const pieces = [start, ...Array.from({ length: 160 }, () => ' '.repeat(500))];
      const shown = pieces.map((piece) => told(calls.push(piece)).length).reduce((sum, length) => sum + length);
      assert.ok(shown > 79_400, `${JSON.stringify(start)}: ${shown} of 80,000`);
    }
  });

  it('with lists within each other beyond the limit breaks a call off', () => {
    const deep = `<tool_call>${object('get', `{"a": ${'['.repeat(200)}`)}`;
    assert.match(split(HERMES, [deep]), /^⟨0:id0:get \{"a": \[{127}!⟩\[{73}\}$/);
  });
});

function checkOrder(events: readonly AnswerEvent[], text: string): void {
  let open = false;
  let begun = 0;
  let args = '';
  for (const event of events) {
    if (event.type === 'text') assert.ok(!open, `text within a call: ${text}`);
    else if (event.type === 'begin') {
      assert.equal(event.index, begun++);
      assert.ok(!open && NAMES.has(event.name));
      open = true;
      args = '';
    } else {
      assert.ok(open && event.index === begun - 1);
      if (event.type === 'arguments') args += event.delta;
      else {
        open = false;
        if (event.complete) assert.equal(typeof JSON.parse(args), 'object');
      }
    }
  }
  assert.ok(!open, text);
}
