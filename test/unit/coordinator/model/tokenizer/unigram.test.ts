import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CharacterMap } from '../../../../../coordinator/model/tokenizer/character-map.ts';
import { createTokenizer } from '../../../../../coordinator/model/tokenizer/tokenizer.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { compileCharacterMap } from '../../../../fixtures/character-map.ts';
import { vocabularyOf } from '../../../../fixtures/vocabularies.ts';
import { random } from './random-text.ts';

const PLAIN = { addSpecial: false, parseSpecial: false };
const HEAD = ['<pad>', '</s>', '<unk>'];

/** Pieces with their scores, and user-defined ones. */
function unigram(pieces: Readonly<Record<string, number>>, fields: object = {}, userDefined: readonly string[] = []) {
  const tokens = [...HEAD, ...Object.keys(pieces), ...userDefined];
  const tokenizer = createTokenizer(
    vocabularyOf({
      model: 't5',
      tokens,
      scores: Float32Array.from([0, 0, 0, ...Object.values(pieces), ...userDefined.map(() => 0)]),
      types: Int32Array.from(tokens, (text, id) => (id === 2 ? 2 : id < 2 ? 3 : userDefined.includes(text) ? 4 : 1)),
      eos: 1,
      unk: 2,
      ...fields,
    }),
  );
  return {
    tokenizer,
    pieces: (text: string) => tokenizer.encode(text, PLAIN).map((id) => tokens[id]),
  };
}

test('the greatest sum of scores wins, not the longest token', () => {
  const { pieces } = unigram({ a: -1, b: -1, c: -1, ab: -3, bc: -1.5, abc: -2.75 });
  assert.deepEqual(pieces('abc'), ['a', 'bc']);
  assert.deepEqual(unigram({ a: -1, b: -1, ab: -2 }).pieces('ab'), ['ab'], 'of equal sums the longest last token');
});

test('what no token holds is unknown, a run of it once', () => {
  const { pieces } = unigram({ a: -1, '🦙🦙': -4 });
  assert.deepEqual(pieces('axyza'), ['a', '<unk>', 'a']);
  assert.deepEqual(pieces('🦙🦙a🦙'), ['🦙🦙', 'a', '<unk>']);
  assert.deepEqual(pieces('xyz'), ['<unk>']);
  assert.deepEqual(pieces(''), []);
});

test('spaces: kept, merged, and put before the first word', () => {
  const scores = { '▁': -1, a: -1, b: -1, '▁a': -1.5 };
  assert.deepEqual(unigram(scores).pieces('a  b '), ['a', '▁', '▁', 'b', '▁']);
  assert.deepEqual(unigram(scores, { addSpacePrefix: true }).pieces(' a b'), ['▁', '▁a', '▁', 'b']);
  assert.deepEqual(unigram(scores, { removeExtraSpaces: true }).pieces('  a   b '), ['▁a', '▁', 'b']);
  const { tokenizer } = unigram(scores);
  assert.equal(Buffer.from(tokenizer.pieceBytes(6)).toString(), ' a');
});

test('tokens that a user has defined stand in any text; ends do not begin it', () => {
  const { tokenizer, pieces } = unigram({ a: -1 }, {}, ['<x>']);
  assert.deepEqual(pieces('a<x>a'), ['a', '<x>', 'a']);
  assert.deepEqual(tokenizer.encode('a', { addSpecial: true, parseSpecial: true }), [3]);
});

/** As defined: of all ways to write a text the best. */
function best(text: string, scores: ReadonlyMap<string, number>, known = new Map<string, number>()): number {
  if (text === '') return 0;
  const found = known.get(text);
  if (found !== undefined) return found;
  let sum = Number.NEGATIVE_INFINITY;
  for (const [piece, score] of scores) {
    if (text.startsWith(piece)) sum = Math.max(sum, score + best(text.slice(piece.length), scores, known));
  }
  known.set(text, sum);
  return sum;
}

test('random vocabularies give what the definition gives', () => {
  const next = random(3);
  for (let round = 0; round < 100; round++) {
    const scores = new Map([...'ab🦙'].map((char) => [char, -8]));
    for (let i = 0; i < 12; i++) {
      const piece = Array.from({ length: 1 + next(5) }, () => [...'ab🦙'][next(3)]).join('');
      scores.set(piece, -next(64) / 8);
    }
    const { pieces } = unigram(Object.fromEntries(scores));
    for (let i = 0; i < 20; i++) {
      const text = Array.from({ length: next(30) }, () => [...'ab🦙'][next(3)]).join('');
      const written = pieces(text) as string[];
      assert.equal(written.join(''), text);
      const sum = written.reduce((all, piece) => all + (scores.get(piece) as number), 0);
      assert.equal(sum, best(text, scores), text);
    }
  }
});

test('compiled rules replace the longest of their keys', () => {
  const rules = { '\t': ' ', ﬁ: 'fi', 'e\u0301': 'é', e: 'E', '\u00ad': '', '…': '...', 𝒜: 'A', '½': '1⁄2' };
  const map = new CharacterMap(compileCharacterMap(rules));
  assert.equal(map.apply('a\tﬁe\u0301e\u00ad…𝒜½🦙'), 'a fiéE...A1⁄2🦙');
  assert.equal(map.apply('nothing at all'), 'nothing at all');
  assert.equal(map.apply(''), '');
  const characterMap = compileCharacterMap(rules);
  const { pieces } = unigram({ '▁': -1, a: -1, fi: -1 }, { characterMap });
  assert.deepEqual(pieces('a\tﬁ'), ['a', '▁', 'fi']);
});

test('compiled rules that are damaged are refused, or replace nothing that is not there', () => {
  const good = compileCharacterMap({ a: 'b', é: 'e' });
  const long = compileCharacterMap({ a: 'b'.repeat(257) });
  for (const bad of [new Uint8Array(), good.subarray(0, 3), good.subarray(0, 1028), good.subarray(0, -1), long]) {
    assert.throws(
      () => new CharacterMap(bad),
      (error: unknown) =>
        error instanceof StarlingError && error.code === 'model_invalid' && /charsmap/.test(error.message),
    );
  }
  const next = random(17);
  for (let round = 0; round < 500; round++) {
    const bad = good.slice();
    for (let i = 0; i < 40; i++) bad[4 + next(good.length - 5)] = next(256);
    // however it is damaged, a text stays in proportion
    const mapped = new CharacterMap(bad).apply('aé\ud83d\ude00 xyz');
    assert.ok(mapped.length <= 12 * 256);
  }
});

test('a vocabulary without a token for unknown characters is refused', () => {
  assert.throws(
    () => unigram({ a: -1 }, { unk: null }),
    (error: unknown) => error instanceof StarlingError && /unknown_token_id/.test(error.message),
  );
});

test('256 KiB take time in proportion', () => {
  const { tokenizer } = unigram({ '▁': -1, a: -1, aa: -1.5, aaaaaaaa: -3, '🦙': -2 }, { removeExtraSpaces: true });
  for (const unit of ['a', ' ', ' a', '🦙', 'x']) {
    const start = performance.now();
    tokenizer.encode(unit.repeat((1 << 18) / unit.length), PLAIN);
    assert.ok(performance.now() - start < 2500, unit);
  }
});
