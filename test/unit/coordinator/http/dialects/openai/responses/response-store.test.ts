import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ResponseStore,
  type StoredResponse,
} from '../../../../../../../coordinator/http/dialects/openai/responses/response-store.ts';

const response = (id: string, text = ''): StoredResponse => ({
  body: { id, output: [] },
  input: [{ id: 'm', type: 'message', role: 'user', status: 'completed', content: [{ type: 'input_text', text }] }],
});
const bytes = (id: string, text = ''): number => 2 * JSON.stringify(response(id, text)).length;
const kept = (store: ResponseStore, ids: string): string =>
  [...ids].filter((id) => !throws(() => store.get(id, null))).join('');

function throws(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch (error) {
    assert.equal((error as { code: string }).code, 'response_not_found');
    return true;
  }
}

test('those that were not asked for longest are forgotten, where there are too many', () => {
  const store = new ResponseStore({ responses: 2, bytes: 1e6 });
  store.add(response('a'), null);
  store.add(response('b'), null);
  store.get('a', null);
  store.add(response('c'), null);
  assert.equal(kept(store, 'abc'), 'ac');
});

test('and where they are too large together; one that is too large by itself forgets no others', () => {
  const store = new ResponseStore({ responses: 9, bytes: 2 * bytes('a') + bytes('d', 'x') });
  for (const id of 'abc') store.add(response(id), null);
  store.add(response('d', 'x'), null);
  assert.equal(kept(store, 'abcd'), 'bcd');
  store.add(response('e', 'x'.repeat(1e4)), null);
  assert.equal(kept(store, 'bcde'), 'bcd');
  store.delete('b', null);
  store.add(response('f'), null);
  assert.equal(kept(store, 'bcdf'), 'cdf', 'what was deleted takes no room');
});

test('another owner neither finds nor deletes them, nor makes them look asked for', () => {
  const store = new ResponseStore({ responses: 2, bytes: 1e6 });
  store.add(response('a'), 'me');
  store.add(response('b'), 'me');
  for (const owner of ['you', null]) {
    assert.ok(throws(() => store.get('a', owner)));
    assert.ok(throws(() => store.delete('a', owner)));
  }
  store.add(response('c'), 'me');
  assert.ok(throws(() => store.get('a', 'me')));
  assert.equal(store.get('b', 'me').body.id, 'b');
});

test('what a response wrote is found by its own name, as long as the response is', () => {
  const store = new ResponseStore({ responses: 1, bytes: 1e6 });
  const call = (id: string) =>
    ({ id, type: 'function_call', call_id: 'c', name: 'f', arguments: '{}', status: 'completed' }) as const;
  const add = (id: string, item: string): void => store.add({ body: { id, output: [call(item)] }, input: [] }, 'me');
  add('a', 'fc_1');
  assert.deepEqual(store.item('fc_1', 'me', 'input[0]'), call('fc_1'));
  assert.ok(throws(() => store.item('fc_1', 'you', 'input[0]')));
  assert.ok(throws(() => store.item('m', 'me', 'input[0]')));
  add('b', 'fc_2');
  assert.ok(throws(() => store.item('fc_1', 'me', 'input[0]')));
  assert.deepEqual(store.item('fc_2', 'me', 'input[0]'), call('fc_2'));
});
