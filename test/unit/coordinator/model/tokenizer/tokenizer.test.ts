import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpecialTokens } from '../../../../../coordinator/model/tokenizer/special-tokens.ts';
import { createTokenizer } from '../../../../../coordinator/model/tokenizer/tokenizer.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { vocabularyOf } from '../../../../fixtures/vocabularies.ts';

const tokens = ['a', 'Ġ', '<', '<|user|>', '<|end|>', '<tool>', '<|pad|>', '<|im_end|>', 'Ã', '©', '', '�'];
const types = Int32Array.of(1, 1, 1, 3, 3, 4, 5, 1, 1, 1, 1, 2);
const tokenizer = createTokenizer(vocabularyOf({ model: 'gpt2', tokens, types, eos: 4, bos: 3, addBos: true }));

test('control tokens are recognised on request only, user-defined ones always', () => {
  const text = 'a<|user|><tool>a';
  assert.deepEqual(tokenizer.encode(text, { addSpecial: false, parseSpecial: true }), [0, 3, 5, 0]);
  assert.deepEqual(tokenizer.encode(text, { addSpecial: false, parseSpecial: false }), [0, 2, 5, 0]);
  assert.deepEqual(tokenizer.encode('a', { addSpecial: true, parseSpecial: false }), [3, 0]);
  assert.deepEqual(tokenizer.encode('', { addSpecial: true, parseSpecial: false }), [3]);
});

test('M3: a control token that has anything a user typed stays text', () => {
  const words = ['<', '|', 'user', '>', 'a', ' '];
  const all = [...words, '<|user|>', '<|end|>', '<tool>', '<|im_start|>', '<|channel|>'];
  const types = Int32Array.from(all, (_, id) => [3, 3, 4, 4, 3][id - words.length] ?? 1);
  const plain = createTokenizer(
    vocabularyOf({ model: 'gpt2', tokens: all.map((text) => text.replace(' ', 'Ġ')), types }),
  );
  const text = 'a<|user|><tool><|im_start|><|channel|>a';
  const encode = (typed: readonly (readonly [number, number])[]): number[] =>
    plain.encode(text, { addSpecial: false, parseSpecial: true, typed });
  assert.deepEqual(encode([]), [4, 6, 8, 9, 10, 4]);
  assert.deepEqual(encode([[9, 15]]), [4, 6, 8, 9, 10, 4]);
  const spelled = encode([[0, text.length]]);
  assert.ok(!spelled.includes(6) && !spelled.includes(9) && !spelled.includes(10), String(spelled));
  assert.ok(spelled.includes(8), 'what is no marker is found in any text');
  for (const range of [
    [1, 2],
    [8, 9],
    [4, 5],
    [0, 9],
  ] as const) {
    const ids = encode([range]);
    assert.ok(!ids.includes(6), `${range}: ${ids}`);
    assert.deepEqual(ids.slice(-4), [8, 9, 10, 4]);
  }
  for (const range of [
    [0, 1],
    [9, 10],
  ] as const)
    assert.ok(encode([range]).includes(6), String(range));
  // A second, genuine one after it is still found.
  const twice = plain.encode('<|user|><|user|>', { addSpecial: false, parseSpecial: true, typed: [[0, 8]] });
  assert.equal(twice.filter((id) => id === 6).length, 1);
  assert.equal(twice.at(-1), 6);
});

test('M14: ends of text are known by name, as far as the model has no other use for them', () => {
  const ends = (texts: string[], fields = {}): string[] => {
    const made = createTokenizer(vocabularyOf({ model: 'gpt2', tokens: texts, ...fields }));
    return texts.filter((_, id) => made.isEndOfGeneration(id));
  };
  assert.deepEqual(ends(['a', '</s>', '<|im_end|>'], { eos: 2 }), ['</s>', '<|im_end|>']);
  assert.deepEqual(ends(['[EOS]', '<eos>', '<end_of_utterance>', '<fim-pad>', '<reponame>', 'x']), [
    ...['[EOS]', '<eos>', '<end_of_utterance>', '<fim-pad>', '<reponame>'],
  ]);
  assert.deepEqual(ends(['<|end|>', '<|return|>', '<|call|>', '<|channel|>']), ['<|return|>', '<|call|>']);
  assert.deepEqual(ends(['<|end|>', '<|flush|>', '<|calls|>']), ['<|flush|>', '<|calls|>']);
  assert.deepEqual(ends(['<|end|>', '<|return|>', '<|calls|>'], { ends: [0] }), ['<|return|>', '<|calls|>']);
  assert.deepEqual(ends(['[PAD]', 'x'], { namesInfill: true }), []);
  assert.deepEqual(ends(['<|end|>', '<|return|>']), ['<|end|>', '<|return|>']);
  assert.deepEqual(ends(['</s>', '<|tool_response>', '<turn|>']), ['<|tool_response>', '<turn|>']);
  const shown = createTokenizer(
    vocabularyOf({ model: 'gpt2', tokens: ['<|channel|>', '<|return|>'], types: Int32Array.of(3, 3) }),
  );
  assert.equal(Buffer.from(shown.pieceBytes(0)).toString(), '<|channel|>');
  assert.equal(shown.pieceBytes(1).length, 0);
});

test('lone surrogates are U+FFFD', () => {
  const replaced = tokenizer.encode('a\ufffda', { addSpecial: false, parseSpecial: true });
  assert.deepEqual(replaced, [0, 11, 0]);
  assert.deepEqual(tokenizer.encode('a\ud83da', { addSpecial: false, parseSpecial: true }), replaced);
  assert.deepEqual(tokenizer.encode('a\udc00a', { addSpecial: false, parseSpecial: true }), replaced);
});

test('pieces are bytes; control and unused tokens are empty', () => {
  const piece = (id: number, special?: boolean) => Buffer.from(tokenizer.pieceBytes(id, special)).toString('latin1');
  assert.equal(piece(1), ' ');
  assert.equal(piece(8), '\u00c3');
  assert.equal(piece(9), '\u00a9');
  assert.equal(piece(3), '');
  assert.equal(piece(3, true), '<|user|>');
  assert.equal(piece(5), '<tool>');
  assert.equal(piece(6), '');
  for (const outside of [-1, 12, 0.5, Number.NaN]) assert.equal(piece(outside), '');
});

test('SentencePiece pieces: marks are spaces, byte tokens bytes', () => {
  const spm = createTokenizer(
    vocabularyOf({
      model: 'llama',
      tokens: ['<unk>', '▁a▁b', '<0xE2>', 'x▁'],
      types: Int32Array.of(2, 1, 6, 4),
      unk: 0,
    }),
  );
  assert.deepEqual([...spm.pieceBytes(1)], [...Buffer.from(' a b')]);
  assert.deepEqual([...spm.pieceBytes(2)], [0xe2]);
  assert.deepEqual([...spm.pieceBytes(3)], [...Buffer.from('x▁')]);
  assert.equal(spm.pieceBytes(0).length, 0);
});

test('ends of generation: eos and the well-known names, which are control tokens whatever the file says', () => {
  const ends = tokens.map((_, id) => id).filter((id) => tokenizer.isEndOfGeneration(id));
  assert.deepEqual(ends, [4, 7]);
  assert.equal(tokenizer.isControl(7), true);
  assert.equal(tokenizer.pieceBytes(7).length, 0);
  const other = createTokenizer(vocabularyOf({ model: 'gpt2', tokens: ['a', 'b', 'c', 'd'], eos: 0, ends: [0, 1, 3] }));
  assert.deepEqual(
    [0, 1, 2, 3].filter((id) => other.isEndOfGeneration(id)),
    [0, 1, 3],
  );
});

test('bos, eos and lookups by text', () => {
  assert.deepEqual(tokenizer.bos, { id: 3, text: '<|user|>' });
  assert.deepEqual(tokenizer.eos, { id: 4, text: '<|end|>' });
  assert.equal(tokenizer.tokenId('<tool>'), 5);
  assert.equal(tokenizer.tokenId(''), null);
  assert.equal(tokenizer.tokenId('nothing'), null);
  assert.equal(tokenizer.vocabSize, 12);
});

test('of overlapping special tokens the longest claims its places first', () => {
  const special = new SpecialTokens([
    { id: 1, text: 'ab' },
    { id: 2, text: 'bcd' },
    { id: 3, text: 'aa' },
  ]);
  assert.deepEqual(special.partition('abcd'), ['a', 2]);
  assert.deepEqual(special.partition('abab-aaaa-a'), [1, 1, '-', 3, 3, '-a']);
  assert.deepEqual(special.partition('bcdbcd'), [2, 2]);
  assert.deepEqual(special.partition('xaaab'), ['x', 3, 1]);
  assert.deepEqual(special.partition('none'), ['none']);
  assert.deepEqual(special.partition(''), []);
});

test('white space after a token that strips it goes, and nothing is found in it', () => {
  const special = new SpecialTokens([
    { id: 1, text: '<u>', stripsAfter: true },
    { id: 2, text: '\n\n' },
    { id: 3, text: '<s>' },
  ]);
  assert.deepEqual(special.partition('<u>\n \tHi\n\n<u>\n\n\n<s> x <u> '), [1, 'Hi', 2, 1, 3, ' x ', 1]);
  const tokens = ['<unk>', '<s>', '</s>', '▁', 'H', '<|user|>', '<|endoftext|>', '\n'];
  const types = Int32Array.of(2, 3, 3, 1, 1, 3, 3, 1);
  const phi3 = vocabularyOf({ model: 'llama', tokens, types, unk: 0, addSpacePrefix: false, stripsAfterSpecial: true });
  const encode = (text: string) => createTokenizer(phi3).encode(text, { addSpecial: false, parseSpecial: true });
  assert.deepEqual(encode('<|user|>\n H</s> H'), [5, 4, 2, 4]);
  assert.deepEqual(encode('<s>\nH<|endoftext|>\n<unk> '), [1, 7, 4, 6, 7, 0, 3]);
});

test('thousands of special tokens in one text take time in proportion', () => {
  const all = Array.from({ length: 6000 }, (_, id) => ({ id, text: `<unused${id}>` }));
  const runs = Array.from({ length: 30 }, (_, i) => ({ id: 6000 + i, text: '\n'.repeat(i + 1) }));
  const special = new SpecialTokens([...all, ...runs]);
  const text = all.map((token) => `${token.text} x `).join('') + '\n'.repeat(1 << 16);
  const start = performance.now();
  const fragments = special.partition(text);
  assert.ok(performance.now() - start < 1500);
  assert.deepEqual(fragments.slice(0, 4), [0, ' x ', 1, ' x ']);
  assert.equal(fragments.length, 12_000 + Math.ceil(65_536 / 30));
});

test('a special token of absurd length is refused', () => {
  assert.throws(
    () => new SpecialTokens([{ id: 9, text: 'x'.repeat(1025) }]),
    (error: unknown) =>
      error instanceof StarlingError && error.code === 'model_invalid' && /token 9 /.test(error.message),
  );
});
