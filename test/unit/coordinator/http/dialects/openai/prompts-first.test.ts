import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PromptsFirst } from '../../../../../../coordinator/http/dialects/openai/prompts-first.ts';
import type { ChoiceEvent } from '../../../../../../coordinator/http/text-exchange.ts';

const drawn = (choice: number, token: number): ChoiceEvent => ({
  type: 'token',
  choice,
  token,
  text: 'a',
  reasoning: '',
});

test('answers that are ahead of their prompt wait for it, and no others do', () => {
  const promptsFirst = new PromptsFirst(2);
  const judged = [{ token: 1, logprob: -1, top: [] }];
  const early = [drawn(1, 5), drawn(1, 6)];
  for (const event of early) assert.deepEqual(promptsFirst.take(event, 0), { judged: null, events: [] });
  const other = { ...drawn(2, 7), promptLogProbs: [] };
  assert.deepEqual(promptsFirst.take(other, 1), { judged: [], events: [other] });
  assert.deepEqual(promptsFirst.take(drawn(3, 8), 1), { judged: null, events: [drawn(3, 8)] });
  const first = { ...drawn(0, 9), promptLogProbs: judged };
  assert.deepEqual(promptsFirst.take(first, 0), { judged, events: [first, ...early] });
  assert.deepEqual(promptsFirst.take(drawn(1, 4), 0), { judged: null, events: [drawn(1, 4)] });
});
