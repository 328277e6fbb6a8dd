import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Automata } from '../../../../coordinator/constraint/automata.ts';
import { partMatch, wholeMatch } from '../../../../coordinator/constraint/regex.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { Random } from '../../../fixtures/random.ts';
import { constraintOf, satisfies } from '../../../fixtures/write-constrained.ts';

const PATTERNS: readonly string[] = [
  'a',
  'ab|c',
  '(a|b)*c',
  'a{2}',
  'a{2,}',
  'a{1,3}b?',
  '[abc]+',
  '[^a]',
  '[a-c-]b',
  '[\\]a]',
  '.',
  'a.c',
  '\\d+',
  '\\w\\W',
  '\\s',
  '\\u0061b',
  '\\x61',
  '\\u{1F600}',
  '(?:ab)+',
  '(?<n>a)b',
  'a|',
  '',
  'a+?b',
  '[\\d_]+',
  'é+',
  '[à-ý]',
  '\\.',
  '\\$',
  '\\n',
  'a{,2}'.slice(0, 1),
  '(a(b(c)?)?)?',
  '[^\\s]c',
  '\\uD83D\\uDE00',
  '[ab][bc][ca]',
  '(a*)*b',
  'x*y*',
];
const LETTERS = ['a', 'b', 'c', '1', '_', ' ', '\n', 'é', '😀', '-', ']', '.', '$', 'x', 'y'];

function randomText(random: Random): string {
  return Array.from({ length: random.below(6) }, () => random.pick(LETTERS)).join('');
}

describe('regular expressions', () => {
  it('match as a whole, and somewhere, what those of JavaScript match', () => {
    const random = new Random(9);
    for (const pattern of PATTERNS) {
      const automata = new Automata();
      const whole = automata.of(wholeMatch(pattern));
      const constraint = constraintOf({ kind: 'regex', pattern });
      const expected = new RegExp(`^(?:${pattern})$`, 'u');
      const anchored = [
        pattern,
        `^${pattern.includes('|') ? '' : pattern}`,
        `${pattern.includes('|') ? '' : pattern}$`,
      ];
      for (let i = 0; i < 150; i++) {
        const text = randomText(random);
        assert.equal(automata.matches(whole, text), expected.test(text), `${pattern} ${JSON.stringify(text)}`);
        assert.equal(satisfies(constraint, text), expected.test(text), `bytes of ${pattern} ${JSON.stringify(text)}`);
      }
      for (const source of anchored) {
        const part = automata.of(partMatch(source));
        for (let i = 0; i < 100; i++) {
          const text = randomText(random);
          assert.equal(
            automata.matches(part, text),
            new RegExp(source, 'u').test(text),
            `${source} in ${JSON.stringify(text)}`,
          );
        }
      }
    }
  });

  it('refuse by name what is not supported', () => {
    const cases = {
      '(?=a)': '(?=',
      '(?<!a)b': '(?<',
      '(a)\\1': '\\1',
      '\\bfoo': '\\b',
      'a(^b)': '^',
      '(a$)b': '$',
      '\\p{L}': '\\p',
      'a{20000}': '{20000}',
    };
    for (const [pattern, name] of Object.entries(cases)) {
      assert.throws(
        () => wholeMatch(pattern),
        (thrown) =>
          thrown instanceof StarlingError && thrown.code === 'unsupported_parameter' && thrown.message.startsWith(name),
        pattern,
      );
    }
  });

  it('refuse what is none', () => {
    for (const pattern of [
      '(a',
      'a)',
      '[a',
      '*a',
      'a**',
      '\\',
      '\\x1',
      'a{3,2}',
      '[b-a]',
      '\\u{110000}',
      `${'('.repeat(101)}${')'.repeat(101)}`,
    ]) {
      assert.throws(() => wholeMatch(pattern), { code: 'invalid_request' }, pattern);
    }
  });
});
