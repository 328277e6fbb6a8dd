import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INPUT, itemsOf } from '../../../../../../../coordinator/http/dialects/openai/responses/input.ts';
import { turnsOf } from '../../../../../../../coordinator/http/dialects/openai/responses/turns.ts';
import { ITEM_SOURCE } from '../../../../../../fixtures/item-source.ts';

const turns = (input: unknown, instructions: string | null = null) =>
  turnsOf(instructions, itemsOf(INPUT.parse(input), ITEM_SOURCE));
const thought = (text: string) => ({ type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text }] });
const call = (call_id: string, args: string) => ({ type: 'function_call', call_id, name: 'f', arguments: args });
const called = (id: string, args: object | string) => ({ id, name: 'f', arguments: args });

test('what the assistant thought, said and called, one after the other, is one turn', () => {
  const items = [
    {
      role: 'user',
      content: [
        { type: 'input_text', text: 'a' },
        { type: 'input_text', text: 'b' },
      ],
    },
    thought('Hm.'),
    { role: 'assistant', content: 'Let me look.' },
    call('c1', '{"x":1}'),
    call('c2', 'no JSON'),
    { type: 'function_call_output', call_id: 'c1', output: 'one' },
    { type: 'function_call_output', call_id: 'c2', output: [{ type: 'input_text', text: 'two' }] },
    thought('Ah.'),
    call('c3', '{}'),
    thought('So.'),
    { role: 'assistant', content: [{ type: 'output_text', text: 'Done.' }] },
    { role: 'assistant', content: 'And more.' },
  ];
  assert.deepEqual(turns(items), [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'a' },
        { type: 'text', text: 'b' },
      ],
    },
    {
      role: 'assistant',
      content: 'Let me look.',
      reasoning: 'Hm.',
      toolCalls: [called('c1', { x: 1 }), called('c2', 'no JSON')],
    },
    { role: 'tool', toolCallId: 'c1', content: 'one' },
    { role: 'tool', toolCallId: 'c2', content: 'two' },
    { role: 'assistant', content: '', reasoning: 'Ah.', toolCalls: [called('c3', {})] },
    { role: 'assistant', content: 'Done.', reasoning: 'So.' },
    { role: 'assistant', content: 'And more.' },
  ]);
});

test('reasoning that led to nothing is left out', () => {
  const user = { role: 'user', content: 'Hi' } as const;
  assert.deepEqual(turns([thought('Hm.'), user, thought('Hm.')]), [user]);
});

test('what the system and the developer say at the beginning is one message', () => {
  const input = [
    { role: 'developer', content: 'b' },
    {
      role: 'system',
      content: [
        { type: 'input_text', text: 'c' },
        { type: 'input_text', text: 'd' },
      ],
    },
    { role: 'user', content: '' },
    { role: 'developer', content: 'e' },
  ];
  assert.deepEqual(turns(input, 'a'), [
    { role: 'system', content: 'a\n\nb\n\nc\n\nd' },
    { role: 'user', content: '' },
    { role: 'system', content: 'e' },
  ]);
  assert.deepEqual(turns('Hi', 'a'), [
    { role: 'system', content: 'a' },
    { role: 'user', content: 'Hi' },
  ]);
});
