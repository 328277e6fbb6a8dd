import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BYTE_CHARS, bytesOfPiece } from '../../../../../coordinator/model/tokenizer/byte-alphabet.ts';
import { compose } from '../../../../../coordinator/model/tokenizer/compose.ts';
import { pretokenizerNamed } from '../../../../../coordinator/model/tokenizer/pretokenizers.ts';
import { createTokenizer } from '../../../../../coordinator/model/tokenizer/tokenizer.ts';
import { vocabularyOf } from '../../../../fixtures/vocabularies.ts';
import { random } from './random-text.ts';

const PLAIN = { addSpecial: false, parseSpecial: false };

test('the byte alphabet has 256 different characters and goes back to bytes', () => {
  assert.equal(new Set(BYTE_CHARS).size, 256);
  assert.deepEqual([BYTE_CHARS[0x20], BYTE_CHARS[0x0a], BYTE_CHARS[0x41], BYTE_CHARS[0xad]], ['Ġ', 'Ċ', 'A', 'Ń']);
  for (let byte = 0; byte < 256; byte++) assert.deepEqual([...bytesOfPiece(BYTE_CHARS[byte] as string)], [byte]);
  assert.deepEqual([...bytesOfPiece('a漢Ġ')], [0x61, 0xe6, 0xbc, 0xa2, 0x20]);
});

/** BPE as it is defined: again and again the best-ranked neighbours, leftmost first. */
function naive(word: string, merges: readonly string[]): string[] {
  const symbols = [...word];
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = merges.indexOf(`${symbols[i]} ${symbols[i + 1]}`);
      if (rank >= 0 && rank < best) [best, at] = [rank, i];
    }
    if (at < 0) return symbols;
    symbols.splice(at, 2, `${symbols[at]}${symbols[at + 1]}`);
  }
}

test('random merges give what the definition gives', () => {
  const next = random(11);
  for (let round = 0; round < 200; round++) {
    const pieces = [...'abc'];
    const merges: string[] = [];
    for (let i = 0; i < 12; i++) {
      const merge = [pieces[next(pieces.length)], pieces[next(pieces.length)]];
      if (merges.includes(merge.join(' '))) continue;
      merges.push(merge.join(' '));
      if (!pieces.includes(merge.join(''))) pieces.push(merge.join(''));
    }
    const tokens = [...pieces];
    const tokenizer = createTokenizer(vocabularyOf({ model: 'gpt2', tokens, merges }));
    for (let i = 0; i < 30; i++) {
      const word = Array.from({ length: next(40) }, () => 'abc'[next(3)]).join('');
      const expected = word === '' ? [] : naive(word, merges).map((piece) => tokens.indexOf(piece));
      assert.deepEqual(tokenizer.encode(word, PLAIN), expected, `${word} with ${merges}`);
    }
  }
});

test('merges go through pieces that are no tokens; such a piece left over gives its ASCII characters', () => {
  const tokens = ['a', 'b', 'c', 'abc'];
  const tokenizer = createTokenizer(vocabularyOf({ model: 'gpt2', tokens, merges: ['a b', 'ab c'] }));
  assert.deepEqual(tokenizer.encode('abc', PLAIN), [3]);
  assert.deepEqual(tokenizer.encode('ab', PLAIN), [0, 1]);
  assert.deepEqual(tokenizer.encode('axb', PLAIN), [0, 1], 'bytes without a token vanish');
});

test('the first of two equal merges counts', () => {
  const tokens = ['a', 'b', 'ab', 'ba'];
  const tokenizer = createTokenizer(vocabularyOf({ model: 'gpt2', tokens, merges: ['b a', 'a b', 'b a'] }));
  assert.deepEqual(tokenizer.encode('aba', PLAIN), [0, 3]);
});

test('Qwen composes text first, in time in proportion to its marks', () => {
  const tokens = ['e', 'Ì', 'ģ', 'Ã', '©', 'Ã©'];
  const vocabulary = vocabularyOf({ model: 'gpt2', tokens, merges: ['Ã ©'] });
  assert.deepEqual(createTokenizer(vocabulary).encode('e\u0301', PLAIN), [0, 1, 2]);
  const qwen = createTokenizer({ ...vocabulary, pre: pretokenizerNamed('qwen2') });
  assert.deepEqual(qwen.encode('e\u0301', PLAIN), [5]);
  assert.equal(compose('A\u030aa\u0323\u0307\u1112\u1161\u11ab'), 'Å\u1ea1\u0307한');
  const many = `a${'\u0301\u0323'.repeat(1 << 16)}`;
  const start = performance.now();
  assert.equal(compose(many).length, many.length - 1);
  assert.ok(performance.now() - start < 1500);
});

test('Llama 3 takes a whole word that is a token, the others merge', () => {
  const tokens = ['a', 'b', 'c', 'ab', 'abc'];
  const vocabulary = vocabularyOf({ model: 'gpt2', tokens, merges: ['a b'] });
  assert.deepEqual(createTokenizer(vocabulary).encode('abc', PLAIN), [3, 2]);
  assert.deepEqual(
    createTokenizer({ ...vocabulary, pre: pretokenizerNamed('llama-bpe') }).encode('abc abc', PLAIN),
    [4, 3, 2],
  );
});
