import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pretokenize } from '../../../../../coordinator/model/tokenizer/pretokenize.ts';
import type { Pretokenizer } from '../../../../../coordinator/model/tokenizer/vocabulary.ts';
import { random } from './random-text.ts';

const S = '\\p{White_Space}';
const MODERN = (digits: string) =>
  `'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^${S}\\p{L}\\p{N}]+[\\r\\n]*|${S}*[\\r\\n]+|${S}+(?![^${S}])|${S}+`;
/** The models' own regular expressions, with Unicode's white space for \s. */
const ORACLES = new Map<Pretokenizer, RegExp>([
  [
    'gpt-2',
    new RegExp(`'(?:s|t|re|ve|m|ll|d)| ?\\p{L}+| ?\\p{N}+| ?[^${S}\\p{L}\\p{N}]+|${S}+(?![^${S}])|${S}+`, 'gu'),
  ],
  ['llama-bpe', new RegExp(MODERN('\\p{N}{1,3}'), 'gu')],
  ['qwen2', new RegExp(MODERN('\\p{N}'), 'gu')],
]);

function cut(text: string, pre: Pretokenizer): string[] {
  const pieces: string[] = [];
  let at = 0;
  pretokenize(text, pre, (start, end) => {
    assert.equal(start, at);
    assert.ok(end > start);
    pieces.push(text.slice(start, end));
    at = end;
  });
  assert.equal(at, text.length);
  return pieces;
}

test('pieces of plain text', () => {
  assert.deepEqual(cut("Hello  world, it's 1234\n\n x", 'gpt-2'), [
    'Hello',
    ' ',
    ' world',
    ',',
    ' it',
    "'s",
    ' 1234',
    '\n\n',
    ' x',
  ]);
  assert.deepEqual(cut("Hello  world, IT'S 1234!\n\n x", 'llama-bpe'), [
    'Hello',
    ' ',
    ' world',
    ',',
    ' IT',
    "'S",
    ' ',
    '123',
    '4',
    '!\n\n',
    ' x',
  ]);
  assert.deepEqual(cut('a12', 'qwen2'), ['a', '1', '2']);
  assert.deepEqual(cut('a  12 b', 'digits-gpt-2'), ['a', '  ', '1', '2', ' b']);
  assert.deepEqual(cut('anything at all', 'none'), ['anything at all']);
  assert.deepEqual(cut('', 'qwen2'), []);
});

test('random text is cut as the regular expressions cut it', () => {
  const next = random(7);
  const alphabet = [
    ..." \n\r\t\u0085\u00a0\u3000\ufeff'''sStTreEVvmMlLdDſ",
    ...'aé漢字١1٢²Ⅷ!?.$<|>😀🦙',
    '\u0301',
    '\u200d',
    '𝒜',
    '𝟙',
  ];
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: next(16) }, () => alphabet[next(alphabet.length)]).join('');
    for (const [pre, expression] of ORACLES) {
      assert.deepEqual(cut(text, pre), text.match(expression) ?? [], `${pre}: ${JSON.stringify(text)}`);
    }
  }
});
