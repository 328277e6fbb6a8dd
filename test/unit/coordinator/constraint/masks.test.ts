import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutputFormat } from '../../../../coordinator/constraint/output-format.ts';
import { END } from '../../../fixtures/piece-codec.ts';
import { Random } from '../../../fixtures/random.ts';
import { constraintOf, pieces, tokensIn } from '../../../fixtures/write-constrained.ts';

const FORMATS: readonly OutputFormat[] = [
  { kind: 'json-object' },
  {
    kind: 'json-schema',
    schema: { properties: { foo: { maxLength: 5 }, true: { type: 'integer' } }, required: ['foo'] },
  },
  { kind: 'regex', pattern: '"[^"\\\\]{0,40}"|.*[é-漢]{2}|[^\\s]+x' },
  {
    kind: 'gbnf',
    grammar: 'root ::= "true, " root? [0-9]{2} | "{" root "}}" | .{3} | "hello" rest\nrest ::= " " [^"]* "\\""',
  },
  { kind: 'choice', options: ['true', 'true, ', 'hello', 'hello world', '漢字é'] },
];

describe('the mask of a constraint', () => {
  it('has exactly the tokens that are accepted, along random texts', () => {
    const random = new Random(5);
    for (const format of FORMATS) {
      for (let text = 0; text < 12; text++) {
        let constraint = constraintOf(format);
        for (let length = 0; length < 30; length++) {
          const accepted = Array.from({ length: pieces.vocabSize }, (_, token) => token).filter((token) =>
            token === END ? constraint.isComplete : constraint.accept(token) !== null,
          );
          assert.deepEqual(tokensIn(constraint.allowed()), accepted);
          const texts = accepted.filter((token) => token !== END);
          if (texts.length === 0) break;
          const longer = texts.filter((token) => pieces.pieceBytes(token).length > 1);
          constraint = constraint.accept(random.pick(longer.length > 0 && random.chance(0.5) ? longer : texts))!;
        }
      }
    }
  });

  it('does not change when a text is taken further, and goes back by being kept', () => {
    const constraint = constraintOf(FORMATS[1]!);
    const before = tokensIn(constraint.allowed());
    const next = constraint.accept(pieces.encode('{', { addSpecial: false, parseSpecial: false })[0]!)!;
    assert.notDeepEqual(tokensIn(next.allowed()), before);
    assert.deepEqual(tokensIn(constraint.allowed()), before);
  });
});

describe('forced tokens', () => {
  const write = (format: OutputFormat, text: string): string[] => {
    let constraint = constraintOf(format);
    const forced: string[] = [];
    for (const token of pieces.encode(text, { addSpecial: false, parseSpecial: false }))
      constraint = constraint.accept(token)!;
    for (let token = constraint.forced(); token !== null; token = constraint.forced()) {
      assert.ok(tokensIn(constraint.allowed()).includes(token));
      forced.push(Buffer.from(pieces.pieceBytes(token)).toString());
      constraint = constraint.accept(token)!;
    }
    return forced;
  };

  it('are the longest that spell what is certain', () => {
    const schema = {
      type: 'object',
      properties: { foo: { const: true } },
      required: ['foo'],
      additionalProperties: false,
    };
    assert.deepEqual(write({ kind: 'json-schema', schema }, ''), ['{"', 'foo', '": ', 'true', '}']);
  });

  it('leave to the model what a token may say along with what is not certain', () => {
    const format: OutputFormat = { kind: 'regex', pattern: 'foo": ("x|y)' };
    // `": "` would take up a quotation mark that is not certain.
    assert.deepEqual(write(format, ''), ['foo']);
    assert.deepEqual(write(format, 'foo": '), []);
    assert.deepEqual(write(format, 'foo": "'), ['x']);
  });

  it('are none where a text may end', () => {
    assert.deepEqual(write({ kind: 'regex', pattern: 'a(bc)?' }, 'a'), []);
    assert.deepEqual(write({ kind: 'regex', pattern: 'a(bc)?' }, 'ab'), ['c']);
  });
});
