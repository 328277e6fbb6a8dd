import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { ApiKeys, userOfKey } from '../../../../coordinator/keys/api-keys.ts';

const ANNA = 'anna-0123456789abcdef';
const BEN = 'ben-0123456789abcdef';
const keys = new ApiKeys([
  { name: 'anna', key: ANNA },
  { name: 'ben', key: BEN },
]);

test('a key is known in either header', () => {
  assert.equal(keys.keyOf({ authorization: `Bearer ${ANNA}` }), 'anna');
  assert.equal(keys.keyOf({ authorization: `bearer  ${BEN} ` }), 'ben');
  assert.equal(keys.keyOf({ xApiKey: BEN }), 'ben');
  assert.equal(keys.keyOf({ authorization: 'Bearer placeholder', xApiKey: BEN }), 'ben');
  assert.equal(keys.keyOf({ authorization: `Bearer ${ANNA}`, xApiKey: BEN }), 'anna');
  assert.deepEqual(keys.names, ['anna', 'ben']);
});

test('nothing else is', () => {
  for (const shown of ['', ' ', ANNA.slice(0, -1), `${ANNA}x`, ANNA.toUpperCase(), `${ANNA} ${BEN}`, 'x'.repeat(1e6)]) {
    assert.equal(keys.keyOf({ authorization: `Bearer ${shown}`, xApiKey: shown }), null, shown.slice(0, 40));
  }
  for (const authorization of [ANNA, `Basic ${ANNA}`, `Bearer${ANNA}`, 'Bearer', `Bearer ${' '.repeat(1e6)}`]) {
    assert.equal(keys.keyOf({ authorization }), null, authorization.slice(0, 40));
  }
  assert.equal(keys.keyOf({}), null);
});

test('keys show themselves nowhere', () => {
  const shown = inspect(keys, { showHidden: true, depth: 9 }) + JSON.stringify(keys);
  assert.ok(!shown.includes(ANNA) && !shown.includes(BEN));
});

test('each key is one user, which no name can forge for another', () => {
  assert.notEqual(userOfKey('anna'), userOfKey('ben'));
  assert.equal(userOfKey('anna'), '{"key":"anna"}');
});
