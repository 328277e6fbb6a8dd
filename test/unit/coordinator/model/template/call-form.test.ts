import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callForm } from '../../../../../coordinator/model/template/call-form.ts';
import { ChatTemplate } from '../../../../../coordinator/model/template/chat-template.ts';
import { Template } from '../../../../../coordinator/model/template/jinja/template.ts';

const each = (body: string): string =>
  `{% for m in messages %}{% for c in m.tool_calls %}${body}{% endfor %}{% endfor %}`;
const ARGUMENTS = 'c.function.arguments';
const CONTENT = '{% for m in messages %}{{ m.content }}{% endfor %}';
const IN_CONTENT = "{% for m in messages %}{{ 'a' if '<think>' in m.content else 'b' }}{% endfor %}";

const formOf = (source: string): [string, string | null] => {
  const form = callForm(new Template(source), {}, new Date(0), 'text');
  return [form.arguments, form.content];
};

test('arguments come as an object where the template makes JSON of them or walks through them', () => {
  assert.deepEqual(formOf(each(`{{ ${ARGUMENTS} | tojson }}`)), ['object', null]);
  assert.deepEqual(formOf(each(`{% for k, v in ${ARGUMENTS} | items %}{{ k }}={{ v }}{% endfor %}`)), ['object', null]);
  const both = `{% if ${ARGUMENTS} is string %}{{ ${ARGUMENTS} }}{% else %}{{ ${ARGUMENTS} | tojson }}{% endif %}`;
  assert.deepEqual(formOf(each(both)), ['object', null]);
});

test('arguments come as text where the template writes them down', () => {
  assert.deepEqual(formOf(each(`{{ ${ARGUMENTS} }}`)), ['text', null]);
  assert.deepEqual(formOf(each(`{{ '{"arguments": ' + ${ARGUMENTS} + '}' }}`)), ['text', null]);
  assert.deepEqual(formOf(CONTENT), ['object', ''], 'a template that leaves calls out');
});

test('no content is an empty text where the template would print it or fails at it', () => {
  assert.deepEqual(formOf(`${CONTENT}${each(`{{ ${ARGUMENTS} | tojson }}`)}`), ['object', '']);
  assert.deepEqual(formOf(`${IN_CONTENT}${each(`{{ ${ARGUMENTS} }}`)}`), ['text', '']);
  assert.deepEqual(formOf(`None. ${each(`{{ ${ARGUMENTS} }}`)}`), ['text', null]);
});

test('messages are rendered in the form that their template takes', async () => {
  const source = `{% for m in messages %}[{{ m.content is none }}{% for c in m.tool_calls %} {{ ${ARGUMENTS} }}{% endfor %}]{% endfor %}`;
  const template = new ChatTemplate(source, '', '');
  const called = (args: unknown, content: unknown) => ({
    role: 'assistant',
    content,
    tool_calls: [{ function: { name: 'f', arguments: args } }],
  });
  try {
    const messages = [called({ a: [1, 'b'] }, ''), called('not JSON', 'Hm'), { role: 'user', content: '' }];
    const { text } = await template.render(messages, { addGenerationPrompt: false });
    assert.equal(text, '[True {"a":[1,"b"]}][False not JSON][False]');
  } finally {
    template.close();
  }
});
