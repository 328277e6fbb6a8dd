import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Detokenizer } from '../../../../../coordinator/model/tokenizer/detokenizer.ts';
import type { Tokenizer } from '../../../../../coordinator/model/tokenizer/tokenizer.ts';
import { sharedData } from '../../../../fixtures/shared-data.ts';
import { tokenizerOf } from '../../../../fixtures/vocabularies.ts';
import { random, randomText } from './random-text.ts';

const PLAIN = { addSpecial: false, parseSpecial: false };
const NO_DATA = 'the test data beside the checkout is not there';

function decode(tokenizer: Tokenizer, ids: readonly number[], startOfText = true): string {
  const detokenizer = new Detokenizer(tokenizer, { startOfText });
  return ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush();
}

const recorded = JSON.parse(
  readFileSync(new URL('../../../../../../test/fixtures/token-ids.json', import.meta.url), 'utf8'),
) as {
  readonly texts: readonly string[];
  /** By vocabulary and text. */
  readonly ids: Readonly<Record<string, readonly string[]>>;
};

for (const name of ['llama-spm', 'llama-bpe', 'qwen2', 'gpt-2', 'phi-3', 'starcoder', 'deepseek-llm']) {
  const path = sharedData(`tokenizers/${name}.gguf`);
  test(`${name}: llama.cpp's ids`, { skip: path === null && NO_DATA }, async (context) => {
    const tokenizer = await tokenizerOf(path as string);
    const read = (suffix: string) => readFileSync((path as string).replace(/gguf$/, suffix), 'utf8');
    const texts = read('inp').split('\n__ggml_vocab_test__\n');
    const expected = read('out')
      .split('\n')
      .map((line) => line.split(' ').filter(Boolean).map(Number));
    assert.equal(texts.length, 47);
    assert.equal(expected.length, 47);

    await context.test('all vectors', () => {
      texts.forEach((text, i) => {
        assert.deepEqual(tokenizer.encode(text, PLAIN), expected[i], `vector ${i}: ${JSON.stringify(text)}`);
        assert.equal(decode(tokenizer, expected[i] as number[]), text, `vector ${i} back to text`);
      });
    });

    await context.test('ids recorded from llama.cpp, control tokens among them', () => {
      recorded.texts.forEach((text, i) => {
        const ids = tokenizer.encode(text, { addSpecial: false, parseSpecial: true }).join(' ');
        assert.equal(ids, recorded.ids[name]?.[i], JSON.stringify(text));
      });
    });

    // StarCoder's vocabulary has no token for the first byte of most planes beyond the first
    await context.test('any text comes back', { skip: name === 'starcoder' }, () => {
      const next = random(23);
      for (let round = 0; round < 3000; round++) {
        const text = randomText(next, 40);
        // Qwen's tokenizer composes text
        const expected = name === 'qwen2' ? text.normalize('NFC') : text;
        assert.equal(decode(tokenizer, tokenizer.encode(text, PLAIN)), expected, JSON.stringify(text));
      }
    });

    await context.test('256 KiB of anything take time in proportion', () => {
      for (const unit of ['a', ' ', '\n', '!', ' a', '🦙', '<|', '\u0301', '7']) {
        const text = unit.repeat((1 << 18) / unit.length);
        const start = performance.now();
        const ids = tokenizer.encode(text, { addSpecial: true, parseSpecial: true });
        const seconds = (performance.now() - start) / 1000;
        assert.ok(ids.length > 1000);
        assert.ok(seconds < 2.5, `256 KiB of ${JSON.stringify(unit)} took ${seconds.toFixed(1)} s`);
      }
    });
  });
}

test('the whole of a long text is encoded as its parts are', {
  skip: sharedData('tokenizers') === null && NO_DATA,
}, async () => {
  const tokenizer = await tokenizerOf(sharedData('tokenizers/llama-bpe.gguf') as string);
  const one = tokenizer.encode(' discard', PLAIN);
  assert.deepEqual(tokenizer.encode(' discard'.repeat(5000), PLAIN), Array.from({ length: 5000 }, () => one).flat());
});

interface Golden {
  readonly results: readonly {
    readonly prompt: string;
    readonly tokens: number[];
    readonly greedy: number[];
    readonly text: string;
  }[];
}

const goldens = sharedData('goldens');
for (const file of goldens === null ? [] : readdirSync(goldens)) {
  test(`${file}: llama.cpp's prompts`, async () => {
    const { results } = JSON.parse(readFileSync(`${goldens}/${file}`, 'utf8')) as Golden;
    const tokenizer = await tokenizerOf(sharedData(`models/${file.replace(/json$/, 'gguf')}`) as string);
    assert.ok(results.length > 0);
    for (const { prompt, tokens, greedy, text } of results) {
      assert.deepEqual(tokenizer.encode(prompt, { addSpecial: true, parseSpecial: true }), tokens, prompt);
      // the recording dropped the first space of every SentencePiece answer
      assert.equal(decode(tokenizer, greedy), text, prompt);
    }
  });
}
if (goldens === null) test("goldens: llama.cpp's prompts", { skip: NO_DATA }, () => {});
