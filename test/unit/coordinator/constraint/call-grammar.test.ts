import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CallConstraint } from '../../../../coordinator/constraint/call-grammar.ts';
import type { OutputFormat } from '../../../../coordinator/constraint/output-format.ts';
import { Random } from '../../../fixtures/random.ts';
import { constraintOf, satisfies, writeConstrained } from '../../../fixtures/write-constrained.ts';

const city = { type: 'object', properties: { city: { enum: ['Oslo', 'Rome'] } }, required: ['city'] };
const nothing = { type: 'object', properties: {}, additionalProperties: false };
const call = (name: string, schema: CallConstraint['calls'][number]['schema']) => ({
  name,
  prefix: `\n{"name": "${name}", "arguments": `,
  schema: { ...schema, additionalProperties: false },
  suffix: '}\n</call>',
});
const AUTO: CallConstraint = {
  required: false,
  lead: '<call>',
  trigger: '<call>',
  openings: [],
  fences: null,
  before: '',
  calls: [call('weather', city), call('time', nothing)],
  separator: '\n<call>',
  after: '',
};
const REQUIRED: CallConstraint = { ...AUTO, required: true };
const calls = (constraint: CallConstraint, otherwise: OutputFormat | null = null): OutputFormat => ({
  kind: 'calls',
  constraint,
  otherwise,
});
const allows = (format: OutputFormat, text: string): boolean => satisfies(constraintOf(format), text);

const WEATHER = '<call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</call>';
const TIME = '<call>\n{"name": "time", "arguments": {}}\n</call>';
const WRONG = '<call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</call>';

describe('a grammar of calls', () => {
  it('where they are required has nothing else', () => {
    for (const text of [WEATHER, TIME, `${TIME}\n${WEATHER}\n${TIME}`]) assert.ok(allows(calls(REQUIRED), text), text);
    for (const text of ['', 'Hi', WRONG, `Hi ${TIME}`, `${TIME} Hi`, TIME.replace('time', 'date'), TIME.slice(0, -1)])
      assert.ok(!allows(calls(REQUIRED), text), text);
    assert.ok(!allows(calls({ ...REQUIRED, separator: null }), `${TIME}\n${TIME}`), 'one call');
  });

  it('otherwise has them after the trigger, wherever that stands in a text, and free text before', () => {
    const free = ['', 'Hi <', '<call', '<<cal', '<c<ca<cal>', 'é <call >', '</call>'];
    for (const text of [...free, ...free.map((before) => `${before} ${WEATHER}\n${TIME}`), `<${TIME}`, `<call${TIME}`])
      assert.ok(allows(calls(AUTO), text), text);
    for (const text of ['<call>', `Hi ${WRONG}`, `<call${WRONG}`, `<<call>Hi`, `${TIME} Hi`])
      assert.ok(!allows(calls(AUTO), text), text);
  });

  it('otherwise has them after an opening, where the text or a code block begins', () => {
    const shaped = (name: string) => ({ prefix: `{"name": "${name}", "parameters": `, suffix: '}' });
    const opened: CallConstraint = {
      ...AUTO,
      trigger: '<py>',
      openings: ['{"name": "', '{"type": "function", "name": "'],
      fences: { begin: ['```json', '```tool'], end: '\n```' },
      calls: AUTO.calls.map((each) => ({ ...each, ...shaped(each.name) })),
      separator: '\n',
    };
    const format = calls(opened);
    const oslo = '{"name": "weather", "parameters": {"city": "Oslo"}}';
    const time = '{"name": "time", "parameters": {}}';
    const typed = oslo.replace('{', '{"type": "function", ');
    const spaced = ' \n{ "name"  :\t"time", "parameters": {}}';
    const called = [oslo, typed, spaced, `${oslo}\n${time}`, `[${oslo}]`, `[ ${oslo}, ${time}]`, `<py>${oslo}`];
    const fenced = [`\`\`\`json\n${oslo}`, `Sure \`\`\`tool\n${oslo}\n${time}\n\`\`\``, `\`\`\`json[${oslo}]\n\`\`\``];
    const free = [
      '',
      'é',
      '{',
      '{"name": "',
      '{"name": "weathe',
      '{"name": "times"}',
      '{"na me": "time", 1',
      '[1]',
      '{{"name": "time"',
    ];
    const elsewhere = [
      `It is ${oslo}!`,
      `{}${oslo}!`,
      `\`\`\`jso ${oslo}!`,
      `\`\`\`json Hm ${oslo}!`,
      '```json\n{"a": 1}\n```',
      '{`` <p`',
    ];
    for (const text of [...called, ...fenced, ...free, ...elsewhere]) assert.ok(allows(format, text), text);
    const wrong = oslo.replace('Oslo', 'Bern');
    const whole = [
      '{"name": "time"',
      '{"name": "time"}',
      '{"name": "time", "x"',
      `${time} so`,
      `[${oslo}`,
      `[${time}\n${time}]`,
    ];
    const marked = [`\`\`\`json${wrong}`, `{\`\`\`tool${wrong}`, `\`\`\`\`json ${wrong}`, `Hm <py>${wrong}`, `{<py>`];
    for (const text of [wrong, ...whole, ...marked, `${typed.replace('Oslo', 'Bern')}`, `[${wrong}]`])
      assert.ok(!allows(format, text), text);
    const single = calls({ ...opened, separator: null });
    assert.ok(
      allows(single, `[${time}]`) && !allows(single, `${time}\n${time}`) && !allows(single, `[${time}, ${time}]`),
    );
  });

  it('is not too large for many tools with long names', () => {
    const many = Array.from({ length: 256 }, (_, i) => call(`${i}_${'x'.repeat(60)}`, nothing));
    const openings = ['{"name": "', '{"type": "function", "name": "'];
    const format = calls({ ...AUTO, trigger: null, openings, calls: many });
    assert.ok(allows(format, 'Hi'));
  });

  it('or has another format in their place', () => {
    const format = calls(AUTO, { kind: 'json-schema', schema: { enum: [1, 2] } });
    for (const text of ['1', '2', TIME, `${WEATHER}\n${TIME}`]) assert.ok(allows(format, text), text);
    for (const text of ['3', '', `1${TIME}`, WRONG, 'Hi']) assert.ok(!allows(format, text), text);
  });

  it('has objects for arguments whatever the schema', () => {
    const of = (required: boolean, schema: Readonly<Record<string, unknown>>): OutputFormat =>
      calls({ ...AUTO, required, calls: [{ name: 'f', prefix: '', schema, suffix: '' }] });
    for (const required of [true, false]) {
      assert.ok(allows(of(required, {}), '<call>{"a": [1]}'));
      assert.ok(!allows(of(required, {}), '<call>1'));
    }
    const unknown = { properties: { a: { $dynamicRef: '#a' } } };
    assert.ok(allows(of(false, unknown), '<call>{"a": 1}'), 'nobody asked for calls');
    assert.throws(() => constraintOf(of(true, unknown)), {
      code: 'unsupported_parameter',
      param: 'tools',
      message: /the parameters of the tool 'f': .*\$dynamicRef/,
    });
  });

  it('is kept to by whatever is written', () => {
    const random = new Random(5);
    let written = 0;
    for (let i = 0; i < 20; i++) {
      const text = writeConstrained(constraintOf(calls(REQUIRED)), random, 200);
      if (text === null) continue;
      written++;
      for (const each of text.split('\n<call>').map((part) => part.replace('<call>', '')))
        assert.match(
          each.replace(/^\n/, ''),
          /^\{"name": "(weather", "arguments": \{"city": "(Oslo|Rome)"|time", "arguments": \{)\}\}\n<\/call>$/,
        );
    }
    assert.ok(written > 5, String(written));
  });
});
