import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digitGroups } from '../../../../../coordinator/model/tokenizer/digit-groups.ts';
import { patternSplitter, type Splitter } from '../../../../../coordinator/model/tokenizer/split-matcher.ts';
import { random } from './random-text.ts';

function pieces(split: Splitter, text: string, start = 0, end = text.length): string[] {
  const found: string[] = [];
  let at = start;
  split(text, start, end, (from, to) => {
    assert.equal(from, at);
    assert.ok(to > from);
    found.push(text.slice(from, to));
    at = to;
  });
  assert.equal(at, end);
  return found;
}

/** Matches of JavaScript's own engine, and what stands between them. With the flag v, V8 misses some of `[^a]?`. */
function expected(pattern: string, text: string): string[] {
  const found: string[] = [];
  let at = 0;
  for (const match of text.matchAll(new RegExp(pattern, 'gu'))) {
    if (match[0] === '') continue;
    if (match.index > at) found.push(text.slice(at, match.index));
    found.push(match[0]);
    at = match.index + match[0].length;
  }
  if (at < text.length) found.push(text.slice(at));
  return found;
}

test('random patterns find what a backtracking engine finds', () => {
  const next = random(41);
  const pick = (all: readonly string[]): string => all[next(all.length)] as string;
  const single = (): string =>
    pick(['a', 'b', '[ab]', '[^a]', '\\n', '🦙', '[b🦙]', '\\p{Lu}', '\\u{41}', '[\\x61-b]']);
  // the engines differ on matches of nothing, so what may be empty stands beside what may not
  const pattern = (depth: number): string => {
    const part = next(4) === 0 && depth > 0 ? `(?:${pattern(depth - 1)})` : single();
    const quantified = part + pick(['', '', '', '?', '+', '{2}', '{1,3}', depth > 0 ? '*' : '']);
    const after = pick(['', '', '(?!a)', '(?![ab])', '$']);
    return next(3) === 0
      ? `${single()}${quantified}${after}|${single()}${pattern(0).startsWith('(') ? '' : single()}`
      : `${quantified.endsWith('*') || quantified.endsWith('?') ? single() : ''}${quantified}${after}`;
  };
  for (let round = 0; round < 1500; round++) {
    const source = pattern(2);
    const split = patternSplitter(source);
    for (let i = 0; i < 12; i++) {
      const text = Array.from({ length: next(14) }, () => pick(['a', 'a', 'b', '\n', '🦙', 'A'])).join('');
      assert.deepEqual(pieces(split, text), expected(source, text), `${source} in ${JSON.stringify(text)}`);
    }
  }
});

test('of several ways to match the one that is preferred is taken, not the longest', () => {
  assert.deepEqual(pieces(patternSplitter('a|ab'), 'abab'), ['a', 'b', 'a', 'b']);
  assert.deepEqual(pieces(patternSplitter('ab|a'), 'abaa'), ['ab', 'a', 'a']);
  assert.deepEqual(pieces(patternSplitter('a{2}(?!b)|a'), 'aaab'), ['aa', 'a', 'b']);
});

test('nothing is seen beyond the part that is cut', () => {
  assert.deepEqual(pieces(patternSplitter('a+(?!b)'), 'xaab', 1, 3), ['aa']);
  assert.deepEqual(pieces(patternSplitter('a+(?!b)'), 'xaab', 1, 4), ['a', 'ab']);
  assert.deepEqual(pieces(patternSplitter('a+$'), 'xaab', 1, 3), ['aa']);
});

test('white space is what Unicode says, and digits are of all scripts', () => {
  for (const space of ['\u0085', '\u2028', '\u3000', '\u00a0', '\u000b']) {
    assert.deepEqual(pieces(patternSplitter('\\s+'), `a${space}b`), ['a', space, 'b']);
  }
  for (const other of ['\ufeff', '\u200b', '\u180e']) {
    assert.deepEqual(pieces(patternSplitter('\\S+|\\s'), `a${other} b`), [`a${other}`, ' ', 'b']);
  }
  assert.deepEqual(pieces(patternSplitter('\\d'), '1٢²'), ['1', '٢', '²']);
});

test('what scans for long and finds nothing does so once', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['a+$', 'a'],
    ['a*b|a', 'a'],
    ['<[^>]*>', '<'],
    ['(?:a|b)+c|a', 'ab'],
  ];
  for (const [pattern, unit] of cases) {
    const start = performance.now();
    pieces(patternSplitter(pattern), `${unit.repeat(1 << 17)}x`);
    assert.ok(performance.now() - start < 1500, pattern);
  }
});

test('patterns that are not understood are refused', () => {
  for (const pattern of ['(a', 'a)', '[a', '(?!a', '(?=a)', '\\p{Nothing}', 'a\\']) {
    assert.throws(() => patternSplitter(pattern), SyntaxError, pattern);
  }
});

test('digits are cut in threes from the end', () => {
  const numbers = digitGroups(/^\p{N}$/u);
  assert.deepEqual(pieces(numbers, 'ab12345c 1 123 1234 x'), [
    'ab',
    '12',
    '345',
    'c ',
    '1',
    ' ',
    '123',
    ' ',
    '1',
    '234',
    ' x',
  ]);
  assert.deepEqual(pieces(numbers, '𝟙𝟚𝟛𝟜'), ['𝟙', '𝟚𝟛𝟜']);
  const inNumbers = digitGroups(/^\p{Nd}$/u, { apart: false });
  assert.deepEqual(pieces(inNumbers, 'ab12345c 12'), ['ab12', '345c 12']);
  const wholeWords = digitGroups(/^\p{Nd}$/u, { wordsWhole: true });
  assert.deepEqual(pieces(wholeWords, '12345 12345a a12345.'), ['12', '345', ' 12345a a', '12', '345', '.']);
});
