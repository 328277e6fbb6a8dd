import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CHATML_TEMPLATE,
  defaultTemplate,
  LLAMA3_TEMPLATE,
  PLAIN_TEMPLATE,
} from '../../../../../coordinator/model/template/default-template.ts';
import { Template } from '../../../../../coordinator/model/template/jinja/template.ts';
import { raw } from '../../../../../coordinator/model/template/jinja/text.ts';
import { templateVariables } from '../../../../../coordinator/model/template/template-variables.ts';

const messages = [
  { role: 'system', content: 'Be kind.' },
  { role: 'user', content: ' Hi ' },
  { role: 'assistant', content: 'Hello' },
  { role: 'user', content: 'Bye' },
];

function render(source: string, prompt: boolean): string {
  const variables = templateVariables({ messages, add_generation_prompt: prompt, bos_token: '<s>' });
  return raw(new Template(source).render(variables, new Date(0)));
}

test('the marker tokens of the vocabulary decide', () => {
  const among = (...tokens: string[]) => defaultTemplate((text) => tokens.includes(text));
  assert.equal(among('<|im_start|>', '<|start_header_id|>'), CHATML_TEMPLATE);
  assert.equal(among('<|start_header_id|>'), LLAMA3_TEMPLATE);
  assert.equal(among(), PLAIN_TEMPLATE);
});

test('ChatML', () => {
  assert.equal(
    render(CHATML_TEMPLATE, true),
    '<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n',
  );
});

test('Llama 3', () => {
  const turn = (role: string, text: string) => `<|start_header_id|>${role}<|end_header_id|>\n\n${text}<|eot_id|>`;
  assert.equal(
    render(LLAMA3_TEMPLATE, true),
    `<s>${turn('system', 'Be kind.')}${turn('user', 'Hi')}${turn('assistant', 'Hello')}${turn('user', 'Bye')}<|start_header_id|>assistant<|end_header_id|>\n\n`,
  );
});

test('a transcript', () => {
  assert.equal(render(PLAIN_TEMPLATE, true), '<s>Be kind.\n\nUser:  Hi \nAssistant: Hello\nUser: Bye\nAssistant:');
  assert.equal(render(PLAIN_TEMPLATE, false), '<s>Be kind.\n\nUser:  Hi \nAssistant: Hello\nUser: Bye\n');
});
