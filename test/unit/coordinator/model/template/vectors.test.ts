import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type ChatMessage, ChatTemplate } from '../../../../../coordinator/model/template/chat-template.ts';
import { fromJson } from '../../../../../coordinator/model/template/jinja/conversion.ts';
import { jsonText } from '../../../../../coordinator/model/template/jinja/json-text.ts';
import { repr } from '../../../../../coordinator/model/template/jinja/repr.ts';
import { raw } from '../../../../../coordinator/model/template/jinja/text.ts';
import { sharedData } from '../../../../fixtures/shared-data.ts';

interface Vector {
  readonly name: string;
  readonly chat_template: string;
  readonly data: { readonly messages: ChatMessage[] } & Record<string, unknown>;
  readonly target: string;
}

const PLAIN_JSON = { ensureAscii: false, indent: null, itemSeparator: ', ', keySeparator: ': ', sortKeys: false };

/** Jamba's template prompts for an answer when nobody says whether to; its vector was made that way. */
const PROMPTS_UNASKED = ['ai21labs/AI21-Jamba-Large-1.6'];

/** Their template prints a list, which in Python, the reference, is no JSON as the vector has it. */
const PRINTS_A_LIST = ['MadeAgents/Hammer2.1'];

/** format_custom.json is not here: it holds pretty-printed template sources, which nothing in Starling makes. */
for (const file of ['e2e_custom', 'e2e_default']) {
  const path = sharedData(`templates/${file}.json`);
  const vectors = path === null ? [] : (JSON.parse(readFileSync(path, 'utf8')) as Vector[]);
  test(`${file}: real templates`, {
    skip: path === null && 'the test data beside the checkout is not there',
  }, async (context) => {
    assert.equal(vectors.length, file === 'e2e_custom' ? 45 : 8);
    for (const vector of vectors) {
      await context.test(vector.name, async () => {
        const { messages, tools, bos_token, eos_token, add_generation_prompt, ...variables } = vector.data;
        const template = new ChatTemplate(vector.chat_template, String(bos_token ?? ''), String(eos_token ?? ''), {
          now: () => new Date('2025-07-10T12:00Z'),
        });
        try {
          const { text } = await template.render(messages, {
            addGenerationPrompt: Boolean(add_generation_prompt ?? PROMPTS_UNASKED.includes(vector.name)),
            tools: (tools ?? null) as unknown[] | null,
            variables,
          });
          const printed = PRINTS_A_LIST.includes(vector.name) ? raw(repr(fromJson(tools))) : null;
          const asJson = raw(jsonText(fromJson(tools), PLAIN_JSON));
          assert.equal(text, printed === null ? vector.target : vector.target.replace(asJson, () => printed));
        } finally {
          template.close();
        }
      });
    }
  });
}
