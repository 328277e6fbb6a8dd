import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Conversation, checkConversation } from '../../../../coordinator/generation/conversation.ts';
import { templateMessages } from '../../../../coordinator/generation/template-messages.ts';
import { StarlingError } from '../../../../daemon/errors.ts';

const messages = [{ role: 'user', content: 'Hi' }] as const;

test('what is not done is refused, whatever dialect it was asked in', () => {
  const tools = [{ name: 'f', parameters: {} }];
  for (const asked of [{}, { tools, toolChoice: 'none' }, { tools: [] }, { format: { kind: 'text' } }] as const) {
    checkConversation({ messages, ...asked });
  }
  const refused: readonly [Partial<Conversation>, string][] = [
    [{ tools }, 'tools'],
    [{ tools, toolChoice: { name: 'f' } }, 'tools'],
    [{ format: { kind: 'json' } }, 'format'],
    [{ format: { kind: 'json_schema', schema: {} } }, 'format'],
  ];
  for (const [asked, param] of refused) {
    assert.throws(
      () => checkConversation({ messages, ...asked }),
      (error) => error instanceof StarlingError && error.code === 'unsupported_parameter' && error.param === param,
    );
  }
});

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
