import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Turns } from '../../../daemon/turns.ts';

test('tasks run one after the other, and one that fails holds up none', async () => {
  const turns = new Turns();
  const events: string[] = [];
  const task = (name: string, fails: boolean) => async (): Promise<string> => {
    events.push(`${name} begins`);
    await nextTurn();
    events.push(`${name} ends`);
    if (fails) throw new Error(name);
    return name;
  };
  const first = turns.take(task('first', false));
  const second = turns.take(task('second', true));
  const third = turns.take(task('third', false));
  assert.equal(await first, 'first');
  await assert.rejects(second, /second/);
  assert.equal(await third, 'third');
  assert.deepEqual(
    events,
    ['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]),
  );
});
