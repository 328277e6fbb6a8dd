import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Template } from '../../../../../../coordinator/model/template/jinja/template.ts';
import { raw } from '../../../../../../coordinator/model/template/jinja/text.ts';

function render(source: string): string {
  return raw(new Template(source).render(new Map(), new Date(0)));
}

test('M2: what is not known is refused by name', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['\n{{ x | nope }}', /^line 2: No filter named 'nope'$/],
    ['{{ x is nope }}', /No test named 'nope'/],
    ['{{ [1] | random }}', /No filter named 'random'/],
    ["{% include 'x' %}", /'include' is not supported/],
    ['{% block x %}{% endblock %}', /'block' is not supported/],
    ['{% nope %}', /unknown tag 'nope'/],
    ["{{ 'a'.encode() }}", /'encode' of str is not supported/],
    ['{{ nope() }}', /^line 1: 'nope' is undefined$/],
    ["{{ {'a': 1}.b.c }}", /'dict object' has no attribute 'b'/],
    ['{{ [].append(1) }}', /access to attribute 'append' of 'list' object is unsafe/],
    ['{{ [1] | map("upper") }}', /cannot be printed/],
    ['{% if true %}\n{{ 1 + "a" }}{% endif %}', /^line 2: unsupported operand/],
  ];
  for (const [source, message] of cases) assert.throws(() => render(source), { message }, source);
});

test('hostile templates meet bounds', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["{{ 'x' * 1000000000 }}", /at most 8388608/],
    ["{{ 'x'.center(1000000000) }}", /at most 8388608/],
    ["{{ '%1000000000d' % 1 }}", /at most 8388608/],
    ["{{ '{:1000000000}'.format('a') }}", /at most 8388608/],
    ["{{ ('x' * 4000000).replace('x', 'yyy') }}", /at most 8388608/],
    ['{% set a = [0] * 1000000000 %}', /at most 1048576/],
    ['{{ 10 ** 100000000 }}', /bits/],
    ['{{ range(100001) }}', /larger than 100000/],
    ['{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /call themselves/],
    [`{{ ${'('.repeat(100000)}1${')'.repeat(100000)} }}`, /nested more than/],
    [`{{ ${'-'.repeat(100000)}1 }}`, /nested more than/],
    [`{{ ${'not '.repeat(100000)}1 }}`, /nested more than/],
    ['{% if 1 %}'.repeat(100000), /nested more than/],
    ["{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", /at most 8388608/],
  ];
  for (const [source, message] of cases) assert.throws(() => render(source), { message }, source.slice(0, 60));
});
