import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ChatRenderer, decodeTokens, encodePrompt } from '../../../../coordinator/generation/text-codec.ts';
import { tokenizerCodec } from '../../../../coordinator/generation/tokenizer-codec.ts';
import { openGguf } from '../../../../coordinator/model/gguf/reader.ts';
import { ChatTemplate } from '../../../../coordinator/model/template/chat-template.ts';
import { createTokenizer } from '../../../../coordinator/model/tokenizer/tokenizer.ts';
import { readVocabulary } from '../../../../coordinator/model/tokenizer/vocabulary.ts';
import { sharedData } from '../../../fixtures/shared-data.ts';

async function codecOf(path: string) {
  const file = await openGguf(path);
  try {
    const tokenizer = createTokenizer(readVocabulary(file.metadata));
    return { tokenizer, codec: tokenizerCodec(tokenizer) };
  } finally {
    await file.close();
  }
}

const spm = sharedData('models/stories260K.gguf');
const bpe = sharedData('models/tiny-chat-q8_0.gguf');

describe('tokenizerCodec', { skip: (spm === null || bpe === null) && 'no ../shared/data' }, () => {
  for (const path of [spm!, bpe!]) {
    it(`encodes and decodes with the vocabulary of ${path?.split('/').at(-1)}`, async () => {
      const { codec } = await codecOf(path);
      const tokens = encodePrompt(codec, 'Once upon a time');
      assert.equal(decodeTokens(codec, tokens), 'Once upon a time');
    });
  }

  it('keeps the leading space of a continuation', async () => {
    const { codec } = await codecOf(spm!);
    const words = codec.encode('there was', { addSpecial: false, parseSpecial: false });
    const detokenizer = codec.createDetokenizer({ startOfText: false });
    const text = words.map((token) => detokenizer.push(token)).join('') + detokenizer.flush();
    assert.equal(text, ' there was');
  });

  it('begins a rendered chat with one beginning-of-text token, and knows the end', async () => {
    const { codec, tokenizer } = await codecOf(spm!);
    const { bos, eos } = tokenizer;
    const template: ChatRenderer & { close(): void } = new ChatTemplate(null, bos!.text, eos!.text);
    try {
      const { text, typed } = await template.render([{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true });
      assert.ok(text.startsWith(bos!.text));
      const tokens = encodePrompt(codec, text, typed);
      assert.equal(tokens.filter((token) => token === bos!.id).length, 1);
      assert.equal(tokens[0], bos!.id);
      assert.equal(codec.isEndOfGeneration(eos!.id), true);
    } finally {
      template.close();
    }
  });
});
