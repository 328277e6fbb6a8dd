import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatFields, lineStream } from '../../../../../../coordinator/http/dialects/ollama/words.ts';
import { TWO_CALLS } from '../../../../../fixtures/call-pieces.ts';

test('a call is told when it is over, with its arguments as an object', () => {
  const words = lineStream(() => ({ model: 'm' }), chatFields);
  const event = { type: 'token', choice: 0, token: 5, reasoning: '', text: '' } as const;
  const told = TWO_CALLS.flatMap((piece) => words.event({ ...event, calls: [piece] })).map((line) => JSON.parse(line));
  const message = (name: string, args: object) => ({
    role: 'assistant',
    content: '',
    tool_calls: [{ function: { name, arguments: args } }],
  });
  assert.deepEqual(told, [
    { model: 'm', message: message('look', { at: 1 }), done: false },
    { model: 'm', message: message('wait', {}), done: false },
  ]);
});
