import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { refuseTools, toolCallForm } from '../../../../../coordinator/generation/tool-calls/known-families.ts';
import { sharedData } from '../../../../fixtures/shared-data.ts';

const noTokens = (): null => null;
const tokens =
  (...texts: string[]) =>
  (text: string): number | null =>
    texts.includes(text) ? texts.indexOf(text) : null;

const CHANNEL_TOKENS = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>'];
const HARMONY = '{% if tools %}namespace functions {% endif %}<|channel|> "functions." + tool_call.name';

describe('the family of a model', () => {
  it('is read from its chat template', () => {
    const nameOf = (template: string): string | undefined => toolCallForm(template, noTokens)?.family.name;
    assert.equal(nameOf('{{ tools }} <tool_call>\\n{"name": '), 'hermes');
    assert.equal(nameOf('{{ tools }} [TOOL_CALLS]'), 'mistral');
    assert.equal(nameOf('{{ tools }} <|start_header_id|> "parameters": '), 'llama3');
    assert.equal(nameOf('<start_of_turn>{{ messages }}'), 'gemma');
    assert.equal(nameOf('{{ tools }} followed by <|tool_call|>'), 'granite');
    assert.equal(nameOf('{{ messages }}'), undefined);
    assert.equal(nameOf('{{ tools }}'), undefined);
    assert.equal(nameOf('{{ messages }} <tool_call>'), undefined, 'no place for tools');
    assert.equal(nameOf('{{ tools }} <tool_call><function= <parameter='), 'qwen-coder');
    assert.equal(nameOf('{{ tools }} <tool_call>x<arg_key>'), undefined);
    assert.equal(nameOf('{{ tools }} <start_of_turn>'), undefined, 'some other form');
  });

  it('is that of channels only where the vocabulary has their marks', () => {
    assert.equal(toolCallForm(HARMONY, tokens(...CHANNEL_TOKENS))?.family.name, 'harmony');
    assert.equal(toolCallForm(HARMONY, tokens(...CHANNEL_TOKENS.slice(1))), null);
  });

  it('comes with the marks that are tokens', () => {
    const form = toolCallForm('{{ tools }} [TOOL_CALLS]', tokens('x', '[ARGS]', '[TOOL_CALLS]'));
    assert.deepEqual([...(form?.tokens ?? [])].sort(), [
      [1, '[ARGS]'],
      [2, '[TOOL_CALLS]'],
    ]);
  });

  it('is found in real templates', {
    skip: sharedData('templates/e2e_custom.json') === null && 'no ../shared/data',
  }, () => {
    const text = readFileSync(sharedData('templates/e2e_custom.json')!, 'utf8');
    const found = (JSON.parse(text) as { name: string; chat_template: string }[]).flatMap(({ name, chat_template }) => {
      const form = toolCallForm(chat_template, noTokens);
      return form === null ? [] : [`${name}: ${form.family.name}${form.callsInText ? ', calls in text' : ''}`];
    });
    assert.deepEqual(found, [
      'mistralai/Mistral-7B-Instruct-v0.3 (JSON Schema): mistral',
      'CISCai/Mistral-7B-Instruct-v0.3-SOTA-GGUF: mistral',
      'NousResearch/Hermes-2-Pro-Llama-3-8B (JSON Schema): hermes',
      'mistralai/Mistral-Nemo-Instruct-2407: mistral',
      'meta-llama/Llama-3.1-8B-Instruct: llama3',
      'Qwen/Qwen2.5-7B-Instruct: hermes',
      'Qwen/Qwen3-0.6B: hermes',
      'Qwen/Qwen3.5-4B: qwen-coder',
      'meta-llama/Llama-3.2-11B-Vision-Instruct: llama3',
      'HuggingFaceTB/SmolLM3-3B: hermes, calls in text',
    ]);
  });
});

describe('a model that cannot be offered tools', () => {
  it('says what is lacking', () => {
    assert.match(refuseTools('{{ messages }}').message, /no place for tools; leave 'tools' out/);
    assert.match(refuseTools('{{ tools }}').message, /a form that is not known here/);
    assert.equal(refuseTools('').code, 'unsupported_parameter');
  });
});
