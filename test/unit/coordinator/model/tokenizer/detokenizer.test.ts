import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Detokenizer } from '../../../../../coordinator/model/tokenizer/detokenizer.ts';
import { createTokenizer, type Tokenizer } from '../../../../../coordinator/model/tokenizer/tokenizer.ts';
import { vocabularyOf } from '../../../../fixtures/vocabularies.ts';

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
/** Token n is byte n; then come " a", "a" and a control token. */
const tokens = [...BYTES, '▁a', 'a', '<|u|>'];
const types = Int32Array.from([...BYTES.map(() => 6), 1, 1, 3]);
const spm = createTokenizer(vocabularyOf({ model: 'llama', tokens, types }));
const plain: Tokenizer = { ...spm, addsSpacePrefix: false };

function stream(
  tokenizer: Tokenizer,
  ids: Iterable<number>,
  options?: ConstructorParameters<typeof Detokenizer>[1],
): string[] {
  const detokenizer = new Detokenizer(tokenizer, options);
  const texts = [...ids].map((id) => detokenizer.push(id));
  return [...texts, detokenizer.flush()];
}

test('a character is sent when its last byte comes', () => {
  assert.deepEqual(stream(plain, Buffer.from('é🦙')), ['', 'é', '', '', '', '🦙', '']);
});

test('an unfinished character ends as U+FFFD, and a byte order mark is text', () => {
  assert.deepEqual(stream(plain, [0xf0, 0x9f]), ['', '', '\ufffd']);
  assert.deepEqual(stream(plain, Buffer.from('\ufeffa')), ['', '', '\ufeff', 'a', '']);
});

test('invalid bytes become what TextDecoder makes of them, however they are split', () => {
  for (const bytes of [
    [0xff, 0x41],
    [0xc3, 0x41],
    [0xe2, 0x28, 0xa1],
    [0xf0, 0x80, 0x80, 0x41],
    [0xed, 0xa0, 0x80],
    [0x80],
  ]) {
    assert.equal(stream(plain, bytes).join(''), new TextDecoder().decode(Uint8Array.from(bytes)));
  }
});

test('control tokens are left out unless asked for', () => {
  assert.deepEqual(stream(plain, [257, 258, 257]), ['a', '', 'a', '']);
  assert.deepEqual(stream(plain, [257, 258, 257], { special: true }), ['a', '<|u|>', 'a', '']);
});

test('the space that the tokenizer adds at the start of a text is taken away once', () => {
  assert.deepEqual(stream(spm, [258, 256, 256]), ['', 'a', ' a', '']);
  assert.deepEqual(stream(spm, [257, 256]), ['a', ' a', '']);
  assert.deepEqual(stream(spm, [0x20, 0x20, 0x41]), ['', ' ', 'A', '']);
  assert.deepEqual(stream(spm, [256], { startOfText: false }), [' a', '']);
  assert.deepEqual(stream(plain, [256]), [' a', '']);
});

test('after flush it starts over', () => {
  const detokenizer = new Detokenizer(plain);
  assert.equal(detokenizer.push(0xc3), '');
  assert.equal(detokenizer.flush(), '\ufffd');
  assert.equal(detokenizer.push(0x41), 'A');
});
