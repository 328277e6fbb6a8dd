import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTokenizer } from '../../../../../coordinator/model/tokenizer/tokenizer.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { vocabularyOf } from '../../../../fixtures/vocabularies.ts';
import { random } from './random-text.ts';

const PLAIN = { addSpecial: false, parseSpecial: false };
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const HEAD = ['<unk>', '<s>', '</s>', ...BYTES];
const HEAD_TYPES = [2, 3, 3, ...BYTES.map(() => 6)];

function spm(pieces: readonly (readonly [text: string, score: number, type?: number])[], fields: object = {}) {
  return createTokenizer(
    vocabularyOf({
      model: 'llama',
      tokens: [...HEAD, ...pieces.map(([text]) => text)],
      scores: Float32Array.from([...HEAD.map(() => 0), ...pieces.map(([, score]) => score)]),
      types: Int32Array.from([...HEAD_TYPES, ...pieces.map(([, , type = 1]) => type)]),
      bos: 1,
      eos: 2,
      unk: 0,
      addBos: true,
      ...fields,
    }),
  );
}

/** Id of the n-th piece given to spm(). */
const piece = (n: number): number => HEAD.length + n;

test('the best score merges first, then the leftmost', () => {
  const tokenizer = spm(
    [
      ['▁', -9],
      ['a', -9],
      ['b', -9],
      ['ab', -3],
      ['ba', -2],
      ['aa', -1],
    ],
    { addSpacePrefix: false },
  );
  assert.deepEqual(tokenizer.encode('aba', PLAIN), [piece(1), piece(4)]);
  assert.deepEqual(tokenizer.encode('aaa', PLAIN), [piece(5), piece(1)]);
});

test('two characters that are no tokens may make one together', () => {
  const tokenizer = spm([['xy', -1]], { addSpacePrefix: false });
  assert.deepEqual(tokenizer.encode('xyx', PLAIN), [piece(0), 3 + 0x78]);
});

test('what is no token becomes bytes; without byte tokens, unknown', () => {
  const tokenizer = spm([['▁', -1]]);
  assert.deepEqual(tokenizer.encode('é', PLAIN), [piece(0), 3 + 0xc3, 3 + 0xa9]);
  const few = vocabularyOf({ model: 'llama', tokens: ['<unk>', 'a'], unk: 0, addSpacePrefix: false });
  assert.deepEqual(createTokenizer(few).encode('aé\n', PLAIN), [1, 0, 0, 0]);
  assert.throws(
    () => createTokenizer({ ...few, unk: null }),
    (error: unknown) =>
      error instanceof StarlingError && error.code === 'model_invalid' && /<0x00>/.test(error.message),
  );
});

test('the space prefix comes at the start and after special tokens', () => {
  const pieces = [
    ['▁', -2],
    ['a', -2],
    ['▁a', -1],
    ['<|u|>', 0, 3],
    ['<def>', 0, 4],
  ] as const;
  const tokenizer = spm(pieces);
  const all = { addSpecial: true, parseSpecial: true };
  assert.deepEqual(tokenizer.encode('', all), [1]);
  assert.deepEqual(tokenizer.encode('a', all), [1, piece(2)]);
  assert.deepEqual(tokenizer.encode(' a', all), [1, piece(0), piece(2)]);
  assert.deepEqual(tokenizer.encode('a<|u|>a', all), [1, piece(2), piece(3), piece(2)]);
  assert.deepEqual(tokenizer.encode('<s>a', { addSpecial: false, parseSpecial: true }), [1, piece(2)]);
  assert.deepEqual(tokenizer.encode('<def>a', PLAIN), [piece(4), piece(2)], 'user-defined tokens count in any text');
  assert.deepEqual(spm(pieces, { addSpacePrefix: false }).encode('a<|u|>a', all), [1, piece(1), piece(3), piece(1)]);
});

/** As defined: again and again the neighbours that make the best-scored token, leftmost first. */
function naive(text: string, scores: ReadonlyMap<string, number>): string[] {
  const symbols = [...text];
  for (;;) {
    let best = Number.NEGATIVE_INFINITY;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const score = scores.get(`${symbols[i]}${symbols[i + 1]}`) ?? Number.NEGATIVE_INFINITY;
      if (score > best) [best, at] = [score, i];
    }
    if (at < 0) return symbols;
    symbols.splice(at, 2, `${symbols[at]}${symbols[at + 1]}`);
  }
}

test('random vocabularies give what the definition gives', () => {
  const next = random(5);
  for (let round = 0; round < 200; round++) {
    const scores = new Map<string, number>([...'ab🦙'].map((char) => [char, -100]));
    for (let i = 0; i < 14; i++) {
      const known = [...scores.keys()];
      scores.set(`${known[next(known.length)]}${known[next(known.length)]}`, -next(8));
    }
    const pieces = [...scores];
    const tokenizer = spm(pieces, { addSpacePrefix: false });
    for (let i = 0; i < 30; i++) {
      const text = Array.from({ length: next(40) }, () => [...'ab🦙'][next(3)]).join('');
      const expected = naive(text, scores).map((symbol) => piece(pieces.findIndex(([known]) => known === symbol)));
      assert.deepEqual(tokenizer.encode(text, PLAIN), text === '' ? [] : expected, text);
    }
  }
});
