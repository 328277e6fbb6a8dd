import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Json } from '../../../../coordinator/constraint/json-grammar.ts';
import type { OutputFormat } from '../../../../coordinator/constraint/output-format.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { constraintOf, pieces } from '../../../fixtures/write-constrained.ts';

const doubling = Array.from({ length: 40 }, (_, i) => `a${i} ::= a${i + 1} "x" | a${i + 1} "y"`).join('\n');
const deep: Json = Array.from({ length: 3000 }).reduce<Json>((items) => ({ items }), true);

const HOSTILE: Readonly<Record<string, OutputFormat>> = {
  'an expression of exponential automata': { kind: 'regex', pattern: '(x|y)*x(x|y){2000}' },
  'nested stars': { kind: 'regex', pattern: '((((x*)*)*)*)*z' },
  'many options': { kind: 'regex', pattern: '(x?){9999}' },
  'powers of counts': { kind: 'regex', pattern: '((x{999}){999}){999}' },
  'a choice at every place': { kind: 'regex', pattern: '(.*x){999}' },
  'rules that double': { kind: 'gbnf', grammar: `root ::= a0\n${doubling}\na40 ::= "z"` },
  'stacks that double': { kind: 'gbnf', grammar: 'root ::= "x" root "y" | "x" root "z" | "x"' },
  'a chain of rules that may be empty': {
    kind: 'gbnf',
    grammar:
      Array.from({ length: 5000 }, (_, i) => `${i === 0 ? 'root' : `r${i}`} ::= r${i + 1}? "x"?`).join('\n') +
      '\nr5000 ::= "x"',
  },
  'a schema of many schemas': {
    kind: 'json-schema',
    schema: { anyOf: Array.from({ length: 20_000 }, () => ({ type: 'object', properties: { a: true } })) },
  },
  'a deep schema': { kind: 'json-schema', schema: deep },
  'products of choices': {
    kind: 'json-schema',
    schema: { allOf: Array.from({ length: 12 }, (_, i) => ({ anyOf: [{ minimum: i }, { maximum: 100 - i }] })) },
  },
  'products of patterns': {
    kind: 'json-schema',
    schema: { allOf: Array.from({ length: 12 }, (_, i) => ({ pattern: `(x|y)*x(x|y){${i + 5}}` })) },
  },
  'a long text and a pattern of many places': {
    kind: 'json-schema',
    schema: { enum: ['x'.repeat(20_000)], pattern: '((x?){200})*y' },
  },
  'a pattern of many edges': { kind: 'json-schema', schema: { pattern: `(${'[ab]|'.repeat(5000)}c){999}` } },
  'calls beyond number': { kind: 'gbnf', grammar: `root ::= (${'r|'.repeat(20_000)}r){9999}\nr ::= "x"` },
  'a rule of very many parts': { kind: 'gbnf', grammar: `root ::= ${'"a" '.repeat(130_000)}` },
  'references to an anchor': {
    kind: 'json-schema',
    schema: { prefixItems: Array.from({ length: 1000 }, () => ({ $ref: '#x' })), $defs: { x: { $anchor: 'x' } } },
  },
  'a schema that refers to itself': { kind: 'json-schema', schema: { $ref: '#' } },
  'many options that differ': {
    kind: 'choice',
    options: Array.from({ length: 10_000 }, (_, i) => `x${(i * 7919) % 99991}`),
  },
  'too long a list': {
    kind: 'json-schema',
    schema: { minItems: 10_000, maxItems: 10_000, items: { minItems: 10_000 } },
  },
};

describe('hostile formats', () => {
  for (const [name, format] of Object.entries(HOSTILE)) {
    it(`${name}: is written, or refused, within bounded time`, () => {
      const before = process.cpuUsage();
      try {
        let constraint = constraintOf(format);
        for (let i = 0; i < 20; i++) {
          constraint.allowed();
          const next = constraint.accept(pieces.encode('x', { addSpecial: false, parseSpecial: false })[0]!);
          if (next === null) break;
          constraint = next;
        }
      } catch (thrown) {
        assert.ok(thrown instanceof StarlingError && thrown.kind.http === 400, String(thrown));
      }
      const { user, system } = process.cpuUsage(before);
      assert.ok(user + system < 8e6, `${(user + system) / 1e6} s`);
    });
  }
});
