import assert from 'node:assert/strict';
import { test } from 'node:test';
import { templateMessages } from '../../../../coordinator/generation/template-messages.ts';

test('messages go to the template by the names that it reads', () => {
  const call = { id: 'c', name: 'f', arguments: { a: 1 } };
  assert.deepEqual(
    templateMessages([
      { role: 'user', content: 'Hi', name: 'Ann' },
      { role: 'assistant', content: '', reasoning: 'Hm.', toolCalls: [call] },
      { role: 'tool', content: '1', toolCallId: 'c' },
    ]),
    [
      { role: 'user', content: 'Hi', name: 'Ann' },
      {
        role: 'assistant',
        content: '',
        reasoning_content: 'Hm.',
        thinking: 'Hm.',
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: { a: 1 } } }],
      },
      { role: 'tool', content: '1', tool_call_id: 'c' },
    ],
  );
});
