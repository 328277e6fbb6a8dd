import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkApiKey, loadKeyFile, parseKeyFile } from '../../../../coordinator/keys/key-file.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const ANNA = 'anna-0123456789abcdef';
const BEN = 'ben-0123456789abcdef#x';

test('names and keys, with comments, empty lines, tabs and the ends of lines of Windows', () => {
  const text = `\ufeff# who may\r\n\r\nanna ${ANNA}\r\n  # ${BEN}\n\tben.2_x-y\t ${BEN} \n`;
  assert.deepEqual(parseKeyFile(text, 'keys'), [
    { name: 'anna', key: ANNA },
    { name: 'ben.2_x-y', key: BEN },
  ]);
});

const FAULTS: readonly [what: string, text: string, message: RegExp][] = [
  ['no keys', '# none\n', /^keys: it holds no keys/],
  ['a key without a name', `\n${ANNA}\n`, /^keys, line 2: a name and a key/],
  ['a third word', `anna ${ANNA} # home`, /^keys, line 1: a name and a key/],
  ['a name that is no label', `an"na ${ANNA}`, /^keys, line 1: a name has/],
  ['a short key', 'anna 0123456789abcde', /^keys, line 1: a key has 16/],
  ['a long key', `anna ${'x'.repeat(513)}`, /^keys, line 1: a key has 16/],
  ['a key that no header carries', `anna ${ANNA}é`, /^keys, line 1: a key has 16/],
  ['a name twice', `anna ${ANNA}\nanna ${BEN}`, /^keys, line 2: the name anna is that of line 1/],
  ['a key twice', `anna ${ANNA}\n\nben ${ANNA}`, /^keys, line 3: this is the key of line 1/],
  [
    'too many',
    Array.from({ length: 257 }, (_, i) => `n${i} ${ANNA}${i}`).join('\n'),
    /^keys, line 257: a file holds at most 256/,
  ],
];

for (const [what, text, message] of FAULTS) {
  test(`${what} is told with its line, and no key is repeated`, () => {
    assert.throws(
      () => parseKeyFile(text, 'keys'),
      (error: unknown) => {
        assert.ok(error instanceof StarlingError && error.code === 'key_invalid');
        assert.match(error.message, message);
        for (const key of [ANNA, BEN, '0123456789abcde']) assert.ok(!error.message.includes(key));
        return true;
      },
    );
  });
}

test('a single key is held to the same', () => {
  assert.equal(checkApiKey(ANNA, '--api-key'), ANNA);
  assert.throws(() => checkApiKey('short', '--api-key'), { code: 'key_invalid', message: /^--api-key: a key has 16/ });
});

test('a file is read when nobody else can, and bounded', async (t) => {
  const file = join(temporaryFolder(t), 'keys');
  await assert.rejects(loadKeyFile(file), { code: 'key_invalid', message: /there is no file/ });
  writeFileSync(file, `anna ${ANNA}\n`, { mode: 0o600 });
  assert.deepEqual(await loadKeyFile(file), [{ name: 'anna', key: ANNA }]);
  if (process.platform !== 'win32') {
    for (const mode of [0o640, 0o604, 0o620]) {
      chmodSync(file, mode);
      await assert.rejects(loadKeyFile(file), { code: 'key_invalid', message: /chmod 600/ });
    }
    chmodSync(file, 0o600);
  }
  writeFileSync(file, `anna ${ANNA}\n#${'x'.repeat(256 * 1024)}`);
  await assert.rejects(loadKeyFile(file), { code: 'key_invalid', message: /longer than/ });
});
