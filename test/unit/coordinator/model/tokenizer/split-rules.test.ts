import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createPretokenizer } from '../../../../../coordinator/model/tokenizer/pretokenize.ts';
import {
  PRETOKENIZER_NAMES,
  type Pretokenizer,
  pretokenizerNamed,
} from '../../../../../coordinator/model/tokenizer/pretokenizers.ts';

const recorded = new URL('../../../../../../test/fixtures/splits.json', import.meta.url);
const { texts, rules } = JSON.parse(readFileSync(process.env.STARLING_SPLITS ?? recorded, 'utf8')) as {
  readonly texts: readonly string[];
  /** Lengths of the pieces, by name and text, as scripts/record-splits.mjs writes them. */
  readonly rules: Readonly<Record<string, readonly string[]>>;
};

function cutter(name: string): (text: string) => string[] {
  const pretokenizer = pretokenizerNamed(name);
  assert.ok(pretokenizer !== null, name);
  const pretokenize = createPretokenizer(pretokenizer.rules);
  return (text) => {
    const pieces: string[] = [];
    let at = 0;
    pretokenize(text, (start, end) => {
      assert.equal(start, at);
      assert.ok(end > start);
      pieces.push(text.slice(start, end));
      at = end;
    });
    assert.equal(at, text.length);
    return pieces;
  };
}

function byLengths(text: string, lengths: string): string[] {
  let at = 0;
  return Array.from(lengths.matchAll(/\((\d+)\)|./g), ([digit, long]) => {
    const start = at;
    at += long === undefined ? Number.parseInt(digit, 36) : Number(long);
    return text.slice(start, at);
  });
}

for (const [name, lengths] of Object.entries(rules)) {
  test(`${name}: texts are cut as by the model's own tokenizer`, () => {
    const cut = cutter(name);
    texts.forEach((text, i) => {
      assert.deepEqual(cut(text), byLengths(text, lengths[i] as string), JSON.stringify(text));
    });
  });
}

test('names that have the same rules are the ones recorded, or stand with one of them', () => {
  const known = new Set(Object.keys(rules).map((name) => pretokenizerNamed(name)?.rules));
  const others = PRETOKENIZER_NAMES.filter((name) => !known.has(pretokenizerNamed(name)?.rules));
  assert.deepEqual(others, ['afmoe', 'default']);
});

test('afmoe: digits in threes from the end of a number, then scripts that write no spaces, then words', () => {
  const cut = cutter('afmoe');
  assert.deepEqual(cut('a1 12345,678 中文abc ไทยx'), [
    'a',
    '1',
    ' ',
    '12',
    '345',
    ',',
    '678',
    ' ',
    '中文',
    'abc',
    ' ',
    'ไ',
    'ทยx',
  ]);
});

test('default: runs of punctuation, and digits in threes from the beginning of a number', () => {
  const cut = cutter('default');
  assert.deepEqual(cut("a+b, it's 12345 ~x`y"), [
    'a',
    '+',
    'b',
    ',',
    ' it',
    "'",
    's',
    ' ',
    '123',
    '45',
    ' ',
    '~',
    'x',
    '`',
    'y',
  ]);
});

const RUNS = [' ', 'a', 'Á', '\u0301', '7', '!', '\n', ' \n', 'a ', '中', '🦙', "'s", '<sentinel:1', '1,'];
const ENDS = ['', 'x', '7'];

test('32 KiB of anything are cut in time in proportion, whatever comes after', () => {
  // a time that grew with the square would be ten seconds
  for (const { rules: ofName } of new Map(
    PRETOKENIZER_NAMES.map((name) => pretokenizerNamed(name) as Pretokenizer).map((pre) => [pre.rules, pre]),
  ).values()) {
    const pretokenize = createPretokenizer(ofName);
    for (const unit of RUNS) {
      for (const end of ENDS) {
        const text = unit.repeat((1 << 15) / unit.length) + end;
        const start = performance.now();
        pretokenize(text, () => {});
        const seconds = (performance.now() - start) / 1000;
        assert.ok(
          seconds < 1.5,
          `${JSON.stringify(unit)} before ${JSON.stringify(end)}: ${seconds.toFixed(1)} s, ${ofName}`,
        );
      }
    }
  }
});
