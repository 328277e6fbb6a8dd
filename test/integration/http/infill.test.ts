import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { byteToken } from '../../fixtures/fake-text-model.ts';
import { rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

/** Bytes that no text has stand for the control tokens. */
const infill = {
  prefix: byteToken(0xf8),
  suffix: byteToken(0xf9),
  middle: byteToken(0xfa),
  repository: null,
  file: null,
};
const BEGIN = 0;
const BEFORE = 'def f(';
const AFTER = '):\n pass';
const ANSWER = 'x, y';
const tokens = (text: string): number[] => Array.from(Buffer.from(text), byteToken);
const PROMPT = [BEGIN, infill.prefix, ...tokens(BEFORE), infill.suffix, ...tokens(AFTER), infill.middle];
/** Of this model the answer comes after the one prompt that is right, and after no other. */
const model = { infill, reply: [...PROMPT, ...tokens(ANSWER)] };

describe('a gap is filled in', () => {
  it("for OpenAI's client, whole, streamed and for several prompts", async () => {
    await withEndpoint(model, async ({ url }) => {
      const { completions } = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
      const body = { model: 'fake-model', prompt: BEFORE, suffix: AFTER, temperature: 0 };
      const whole = await completions.create({ ...body, n: 2 });
      assert.deepEqual(
        whole.choices.map(({ text }) => text),
        [ANSWER, ANSWER],
      );
      assert.equal(whole.usage?.prompt_tokens, PROMPT.length);
      const { choices } = await completions.create({ ...body, prompt: ['other', BEFORE], max_tokens: 4 });
      assert.notEqual(choices[0]?.text, ANSWER);
      assert.equal(choices[1]?.text, ANSWER);
      let streamed = '';
      for await (const { choices } of await completions.create({ ...body, stream: true })) streamed += choices[0]?.text;
      assert.equal(streamed, ANSWER);
    });
  });

  it("for Ollama's client, whole and streamed, through no template", async () => {
    await withEndpoint(model, async ({ url }) => {
      const client = new Ollama({ host: url });
      const body = { model: 'fake-model', prompt: BEFORE, suffix: AFTER, system: 'S', options: { temperature: 0 } };
      const { response, prompt_eval_count } = await client.generate(body);
      assert.deepEqual([response, prompt_eval_count], [ANSWER, PROMPT.length]);
      let streamed = '';
      for await (const part of await client.generate({ ...body, stream: true })) streamed += part.response;
      assert.equal(streamed, ANSWER);
    });
  });

  it("for editors as at llama.cpp's server", async () => {
    await withEndpoint({ ...model, http: { keepAliveMs: 1 } }, async ({ url }) => {
      // As a plugin of an editor sends it.
      const body = {
        input_prefix: BEFORE.slice(0, 3),
        prompt: BEFORE.slice(3),
        input_suffix: AFTER,
        input_extra: [],
        model: '',
        n_indent: 4,
        samplers: ['top_k', 'top_p', 'infill'],
        t_max_predict_ms: 1000,
        cache_prompt: true,
        top_k: 40,
        temperature: 0,
      };
      const post = async (more: object) => {
        const { text, status } = await rawRequest(`${url}/infill`, { body: JSON.stringify({ ...body, ...more }) });
        assert.equal(status, 200, text);
        return text;
      };
      const whole = JSON.parse(await post({})) as Record<string, unknown>;
      const { content, stop, stop_type, tokens_predicted, tokens_evaluated, truncated } = whole;
      assert.deepEqual([content, stop, stop_type, truncated], [ANSWER, true, 'eos', false]);
      assert.deepEqual([tokens_predicted, tokens_evaluated], [ANSWER.length, PROMPT.length]);
      const timings = whole.timings as Record<string, number>;
      assert.deepEqual([timings.prompt_n! + timings.cache_n!, timings.predicted_n], [PROMPT.length, ANSWER.length]);

      const events = (await post({ stream: true, n_predict: 2 }))
        .trimEnd()
        .split('\n\n')
        .map((event) => JSON.parse(event.replace(/^data: /, '')) as { content: string; stop: boolean });
      assert.equal(events.map((event) => event.content).join(''), ANSWER.slice(0, 2));
      assert.deepEqual(
        events.map((event) => event.stop),
        [...Array(events.length - 1).fill(false), true],
      );
      assert.equal((events.at(-1) as unknown as { stop_type: string }).stop_type, 'limit');

      const withFile = JSON.parse(await post({ input_extra: [{ text: 'x' }], n_predict: 0 })) as typeof whole;
      assert.equal(withFile.tokens_evaluated, PROMPT.length + '\n\n--- snippet ---\n\nx'.length);
    });
  });

  it('or refused in the words of each', async () => {
    const gap = { input_prefix: 'a', input_suffix: 'b' };
    const refusals = async (options: Parameters<typeof withEndpoint>[0], cases: [string, object, RegExp][]) => {
      await withEndpoint(options, async ({ url }) => {
        for (const [path, body, message] of cases) {
          const { status, text } = await rawRequest(url + path, { body: JSON.stringify(body) });
          assert.equal(status, 400, text);
          assert.match(text, message);
        }
      });
    };
    const lacks = 'cannot fill in the middle of a text';
    await refusals({}, [
      ['/v1/completions', { prompt: 'a', suffix: 'b' }, new RegExp(`${lacks}.*"unsupported_parameter"`)],
      ['/api/generate', { prompt: 'a', suffix: 'b' }, new RegExp(`^{"error":"the model ${lacks}`)],
      ['/infill', gap, new RegExp(`^{"error":{"code":400,"message":"the model ${lacks}`)],
    ]);
    await refusals({ infill, contextLength: 8 }, [
      ['/infill', { ...gap, input_prefix: 'too long' }, /has 13 tokens, but the context of this model holds 8/],
      ['/infill', { input_prefix: 'a' }, /'input_suffix' is not valid/],
      ['/infill', { ...gap, input_extra: [{ filename: 'a' }] }, /'input_extra\[0\]\.text' is not valid/],
      ['/infill', { ...gap, mirostat: 1 }, /'mirostat' is not supported/],
      ['/v1/completions', { prompt: 'too long', suffix: 'b' }, /"context_length_exceeded"/],
    ]);
  });
});
