import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { toolCallForm } from '../../../coordinator/generation/tool-calls/known-families.ts';
import { Metadata } from '../../../coordinator/model/gguf/metadata.ts';
import { openModel } from '../../../coordinator/model/open-model.ts';
import { reasoningForm } from '../../../coordinator/model/reasoning-marks.ts';
import { ChatTemplate } from '../../../coordinator/model/template/chat-template.ts';
import { modelFacts, shortCount } from '../../../coordinator/model-facts.ts';
import { openTextTools, type TextTools } from '../../../coordinator/text-model.ts';
import { packageRoot } from '../../../daemon/paths.ts';

const SERVED = { version: '0.0.0', kv: 'f16', contextLength: 512 } as const;

test('numbers of parameters are shown in short', () => {
  const counts = [512, 262_144, 3_344_320, 134_515_008, 1_235_814_432, 70_553_706_496, 405_853_388_800];
  assert.deepEqual(counts.map(shortCount), ['512', '262K', '3.3M', '135M', '1.2B', '71B', '406B']);
});

test('what a model can do is what its template, vocabulary and file say', async () => {
  const model = await openModel(join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf'));
  try {
    const own = openTextTools(model);
    const abilities = (tools: Partial<TextTools>): string[] => {
      const { thinks, callsTools, fillsIn, embeds } = modelFacts(model, { ...own, ...tools }, SERVED);
      return Object.entries({ thinks, callsTools, fillsIn, embeds }).flatMap(([name, can]) => (can ? [name] : []));
    };
    const source = '{{ tools }}<tool_call></think>';
    const template = new ChatTemplate(source, '', '');
    // The vocabulary has marks of reasoning, be the model one that thinks or not.
    const reasoning = reasoningForm('', () => 7);
    assert.deepEqual(abilities({}), []);
    assert.deepEqual(abilities({ reasoning }), []);
    assert.deepEqual(abilities({ template, reasoning }), ['thinks']);
    assert.deepEqual(abilities({ toolCalls: toolCallForm(source, () => null) }), ['callsTools']);
    const { metadata } = model.gguf;
    const values = new Map([...metadata.keys()].map((key) => [key, metadata.get(key)!]));
    for (const [i, key] of ['fim_pre', 'suffix', 'middle'].entries()) {
      values.set(`tokenizer.ggml.${key}_token_id`, { kind: 'number', value: 7 + i });
    }
    const gguf = { ...model.gguf, metadata: new Metadata('coder.gguf', values) };
    const { infill } = openTextTools({ ...model, gguf });
    assert.deepEqual(infill, { prefix: 7, suffix: 8, middle: 9, repository: null, file: null });
    assert.deepEqual(abilities({ infill }), ['fillsIn']);
    for (const pooling of ['mean', 'last'] as const) {
      assert.deepEqual(abilities({ embedding: { pooling, end: null } }), ['embeds']);
    }
    assert.deepEqual(abilities({ embedding: { pooling: 'other', end: null } }), []);
  } finally {
    await model.gguf.close();
  }
});
