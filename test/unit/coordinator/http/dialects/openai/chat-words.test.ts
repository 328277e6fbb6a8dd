import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerPieces } from '../../../../../../coordinator/generation/answer-pieces.ts';
import { choiceMessage, pieceDelta } from '../../../../../../coordinator/http/dialects/openai/chat-completions.ts';
import { TWO_CALLS } from '../../../../../fixtures/call-pieces.ts';

test('a message has reasoning, text and calls, each where there is any', () => {
  const plain = { role: 'assistant', content: 'Yes.', refusal: null };
  assert.deepEqual(choiceMessage({ text: 'Yes.', reasoning: '', calls: [] }), plain);
  const thought = choiceMessage({ text: 'Yes.', reasoning: 'Hm.', calls: [] });
  assert.deepEqual(thought, { ...plain, reasoning_content: 'Hm.' });
  assert.deepEqual(choiceMessage({ text: '', reasoning: '', calls: TWO_CALLS }), {
    role: 'assistant',
    content: null,
    refusal: null,
    tool_calls: [
      { id: 'a', type: 'function', function: { name: 'look', arguments: '{"at":1}' } },
      { id: 'b', type: 'function', function: { name: 'wait', arguments: '{}' } },
    ],
  });
});

test('deltas of a call name it once, and then add to its arguments', () => {
  const pieces = answerPieces({ reasoning: 'Hm.', text: '', calls: TWO_CALLS.slice(0, 4) });
  assert.deepEqual(pieces.map(pieceDelta), [
    { reasoning_content: 'Hm.' },
    { tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'look', arguments: '' } }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"at"' } }] },
    { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] },
    null,
  ]);
});
