import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { constraintOf, satisfies } from '../../../fixtures/write-constrained.ts';

const CHESS = `# moves of a game, numbered
root   ::= "1. " move " " move "\\n" ([1-9] [0-9]? ". " move " " move "\\n")+
move   ::= (pawn | nonpawn | castle) [+#]?

# piece type, optional file and rank, capture, destination
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
`;

const accepts = (grammar: string, text: string): boolean => satisfies(constraintOf({ kind: 'gbnf', grammar }), text);

describe('GBNF', () => {
  it('reads rules, groups, counts, comments and line ends', () => {
    assert.ok(accepts(CHESS, '1. e4 e5\n2. Nf3 Nc6\n3. Bb5 a6\n4. O-O dxe8=Q+\n'));
    assert.ok(!accepts(CHESS, '1. e4 e5\n'));
    assert.ok(!accepts(CHESS, '1. e9 e5\n2. Nf3 Nc6\n'));
  });

  it('reads literals and characters with their escapes', () => {
    const grammar = 'root ::= "\\"\\\\\\n\\x41\\u00e9\\U0001F600" [^\\]\\n-] [a\\-z] .';
    assert.ok(accepts(grammar, '"\\\nAé😀x-漢'));
    assert.ok(!accepts(grammar, '"\\\nAé😀]-漢'));
    assert.ok(!accepts(grammar, '"\\\nAé😀xb漢'));
  });

  it('goes over lines after | and in groups, and recurses', () => {
    const grammar = 'root ::= "a" |\n  "(" (\n root\n | "b" ){2,3} ")"\nunused ::= "x"';
    for (const text of ['a', '(ab)', '((ab)ba)']) assert.ok(accepts(grammar, text), text);
    for (const text of ['', '(a)', '(abab)', '(ab']) assert.ok(!accepts(grammar, text), text);
  });

  it('says in which line a fault is', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['root ::= "a', /line 1: .*not closed/],
      ['root ::= "a"\nb "c"', /line 2: ::= should follow b/],
      ['a ::= "b"', /no rule root/],
      ['root ::= "a"\nroot ::= "b"', /line 2: there are two rules root/],
      ['root ::= [b-a]', /backwards/],
      ['root ::= "\\q"', /\\q is not known/],
      ['root ::= ("a"', /not closed/],
      ['root ::= "a" )', /"\)" is not expected/],
      ['root ::= <think>', /single tokens are not supported/],
      ['root ::= "a"{2,1}', /counts backwards/],
      ['root ::= other', /no rule "other"/],
      ['root ::= sum\nsum ::= sum "+" "1" | "1"', /the rule "sum" begins with itself/],
      ['root ::= a "x"\na ::= b? root | b\nb ::= "y"', /begins with itself/],
      ['root ::= "a" root', /no text satisfies it/],
    ];
    for (const [grammar, message] of cases) {
      assert.throws(() => constraintOf({ kind: 'gbnf', grammar }), { code: 'invalid_request', message });
    }
  });
});
