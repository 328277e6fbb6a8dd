import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  opensReasoning,
  type ReasoningForm,
  reasoningForm,
  speaksOfReasoning,
} from '../../../../coordinator/model/reasoning-marks.ts';
import { ChatTemplate } from '../../../../coordinator/model/template/chat-template.ts';
import { createTokenizer } from '../../../../coordinator/model/tokenizer/tokenizer.ts';
import { TokenType } from '../../../../coordinator/model/tokenizer/vocabulary.ts';
import { sharedData } from '../../../fixtures/shared-data.ts';
import { vocabularyOf } from '../../../fixtures/vocabularies.ts';

const withTokens =
  (...texts: string[]) =>
  (text: string): number | null =>
    texts.indexOf(text) < 0 ? null : 100 + texts.indexOf(text);
const noTokens = withTokens();

/** How templates of models that think end a prompt. */
const QWEN3 = `{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}`;
const OPENED = `${QWEN3}<think>\n`;
const HARMONY = `{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}{# <|channel|> #}<|start|>assistant`;

describe('how a model marks its reasoning', () => {
  it('is read from its template, or from tokens of its vocabulary', () => {
    const enclosed = (form: ReasoningForm | null): unknown[] =>
      form?.kind === 'enclosed' ? [form.open, form.close, form.answer, [...form.tokens]] : [];
    assert.equal(reasoningForm('{{ messages[0].content }}', noTokens), null);
    assert.deepEqual(enclosed(reasoningForm(QWEN3, noTokens)), ['<think>', '</think>', null, []]);
    assert.deepEqual(enclosed(reasoningForm(QWEN3, withTokens('<think>', '</think>'))), [
      ...['<think>', '</think>', null],
      [
        [100, '<think>'],
        [101, '</think>'],
      ],
    ]);
    const granite = 'Write your thoughts between <think></think> and your answer between <response></response>.';
    assert.deepEqual(enclosed(reasoningForm(granite, noTokens)).slice(0, 3), [
      ...['<think>', '</think>'],
      ['<response>', '</response>'],
    ]);
    const seed = enclosed(reasoningForm('{{ "</seed:think>" }}', noTokens));
    assert.deepEqual(seed.slice(0, 2), ['<seed:think>', '</seed:think>']);
    const mistral = reasoningForm('{{ messages[0].content }}', withTokens('[THINK]', '[/THINK]'));
    assert.deepEqual(enclosed(mistral).slice(0, 2), ['[THINK]', '[/THINK]']);
    assert.equal(reasoningForm('{{ messages[0].content }}', withTokens('<think>')), null, 'a mark that never ends');
  });

  it('may be known to the vocabulary alone', () => {
    const tokens = withTokens('<think>', '</think>');
    const speaks = (template: string): boolean => speaksOfReasoning(reasoningForm(template, tokens)!, template);
    assert.deepEqual([QWEN3, OPENED, '{{ messages[0].content }}'].map(speaks), [true, true, false]);
  });

  it('is channels only where the vocabulary has their marks', () => {
    const marks = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>'];
    const form = reasoningForm(HARMONY, withTokens(...marks));
    assert.deepEqual(form?.kind === 'channels' && [...form.marks.values()], ['start', 'channel', 'message', 'end']);
    assert.equal(reasoningForm(HARMONY, withTokens(...marks.slice(1))), null);
  });

  it('is found in real templates', {
    skip: sharedData('templates/e2e_custom.json') === null && 'no ../shared/data',
  }, () => {
    const path = sharedData('templates/e2e_custom.json')!;
    const vectors = JSON.parse(readFileSync(path, 'utf8')) as { name: string; chat_template: string }[];
    const found = vectors.flatMap(({ name, chat_template }) => {
      const form = reasoningForm(chat_template, noTokens);
      return form?.kind === 'enclosed' ? [`${name}: ${form.open}`] : [];
    });
    assert.ok(
      found.some((line) => /Qwen3.*: <think>$/.test(line)),
      found.join('\n'),
    );
    assert.ok(found.length < vectors.length / 2, 'most models do not think');
  });
});

describe('whether a prompt ends within reasoning', () => {
  const rendered = async (source: string, content: string, variables = {}) => {
    const template = new ChatTemplate(source, '', '');
    try {
      const past = { role: 'assistant', content: 'Yes.', reasoning_content: 'Hm. <think>' };
      const messages = [{ role: 'user', content: 'Hi' }, past, { role: 'user', content }];
      return await template.render(messages, { addGenerationPrompt: true, variables });
    } finally {
      template.close();
    }
  };

  it('depends on what the template wrote last, and on nothing that a user wrote', async () => {
    const form = reasoningForm(QWEN3, noTokens)!;
    const opened = async (source: string, content: string, variables = {}) =>
      opensReasoning(form, await rendered(source, content, variables));
    assert.equal(await opened(OPENED, 'x'), true);
    assert.equal(await opened(QWEN3, 'x'), false);
    assert.equal(await opened(QWEN3, 'x', { enable_thinking: false }), false);
    assert.equal(await opened('{{ messages[2].content }}\n', 'x <think>'), false);
    assert.equal(await opened('{{ messages[2].content }}think>\n', 'x <'), false, 'not even half of a mark');
    assert.equal(await opened('{{ messages[2].content }}<think>\n', 'x </think>'), true);
  });

  it('is seen in a channel that the template has opened', async () => {
    const form = reasoningForm(HARMONY, withTokens('<|start|>', '<|channel|>', '<|message|>', '<|end|>'))!;
    assert.equal(opensReasoning(form, await rendered(HARMONY, 'x')), false);
    assert.equal(opensReasoning(form, await rendered(`${HARMONY}<|channel|>analysis<|message|>`, 'x')), true);
    assert.equal(opensReasoning(form, await rendered(`${HARMONY}<|channel|>final<|message|>`, 'x')), false);
  });
});

describe('marks as tokens', () => {
  it('are shown whatever the file says they are, and users cannot write them', () => {
    for (const type of [TokenType.control, TokenType.userDefined, TokenType.normal]) {
      const tokens = [...'<think/>', '<think>', '</think>'];
      const types = Int32Array.from(tokens, (text) => (text.length > 1 ? type : TokenType.normal));
      const tokenizer = createTokenizer(vocabularyOf({ model: 'gpt2', tokens, types }));
      const id = tokenizer.tokenId('<think>')!;
      assert.equal(Buffer.from(tokenizer.pieceBytes(id)).toString(), '<think>');
      const options = { addSpecial: false, parseSpecial: true };
      assert.deepEqual(tokenizer.encode('<think>', options), [id]);
      assert.ok(!tokenizer.encode('<think>', { ...options, typed: [[0, 7]] }).includes(id), `${type}`);
    }
  });
});
