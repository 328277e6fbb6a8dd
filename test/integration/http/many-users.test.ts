import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, { APIError } from 'openai';
import { eventually, rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

const clientFor = (url: string, apiKey = 'none'): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 10_000 });

/** Steps that take a while, so that requests meet. */
const beforeStep = () => new Promise<void>((resolve) => setTimeout(resolve, 2));

function hasCode(code: string, status: number): (error: unknown) => boolean {
  return (error) => error instanceof APIError && error.code === code && error.status === status;
}

describe('many users', () => {
  it('has a second turn of a chat compute only its new tokens', async () => {
    await withEndpoint({ reply: 'Hello!' }, async ({ url, model }) => {
      const client = clientFor(url);
      const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Hi' }];
      const first = await client.chat.completions.create({ model: 'starling', messages });
      assert.equal(first.usage?.prompt_tokens_details?.cached_tokens, 0);
      messages.push({ role: 'assistant', content: first.choices[0]!.message.content });
      messages.push({ role: 'user', content: 'Go on' });
      const before = model.rows;
      const second = await client.chat.completions.create({ model: 'starling', messages, max_tokens: 1 });
      // Everything up to the answer's last letter was there; the end token has no place in the text.
      const known = first.usage!.prompt_tokens + 'Hello!'.length;
      assert.equal(second.usage?.prompt_tokens_details?.cached_tokens, known);
      assert.equal(model.rows - before, second.usage!.prompt_tokens - known);
    });
  });

  it('computes a prompt once for all of its choices, and for other users', async () => {
    await withEndpoint({ reply: 'ok' }, async ({ url, model }) => {
      const prompt = 'x'.repeat(639);
      const answer = await clientFor(url).completions.create({ model: 'starling', prompt, n: 8, max_tokens: 1 });
      assert.deepEqual(
        answer.choices.map(({ text }) => text),
        Array.from({ length: 8 }, () => 'o'),
      );
      // Ten pages once; of the last, the token that has to be computed for logits, and what does not fill a page.
      assert.ok(model.rows <= 640 + 8 * 64, `${model.rows} rows`);
      assert.equal(answer.usage?.prompt_tokens_details?.cached_tokens, 0);
      const other = await clientFor(url, 'other').completions.create({ model: 'starling', prompt, max_tokens: 1 });
      assert.ok(other.usage!.prompt_tokens_details!.cached_tokens! >= 576);
    });
  });

  it('answers all at the same time, each its own text, in few steps', async () => {
    await withEndpoint({ reply: 'abcdefghijklmnopqrstuvwxyz', beforeStep }, async ({ url, model }) => {
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) => {
          const priority = i % 2 === 0 ? 'interactive' : 'batch';
          const body = { model: 'starling', prompt: `${i}:`, echo: true, user: `user ${i}`, max_tokens: 26, priority };
          return clientFor(url).completions.create(body);
        }),
      );
      assert.deepEqual(
        answers.map(({ choices }) => choices[0]?.text),
        answers.map((_, i) => `${i}:abcdefghijklmnopqrstuvwxyz`),
      );
      assert.ok(model.steps < 2 * 30, `${model.steps} steps`);
    });
  });

  it('tells whom it refuses when to come back, and lets in users of whom nobody waits', async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    await withEndpoint({ beforeStep: () => gate, queueLimit: 2 }, async ({ url, service }) => {
      const ask = (user: string) =>
        rawRequest(`${url}/v1/completions`, { body: JSON.stringify({ prompt: 'x', max_tokens: 1, user }) });
      const answers = [ask('ann')];
      await eventually(() => service.load.running === 1, 'one runs');
      answers.push(ask('ann'), ask('ann'));
      await eventually(() => service.load.waiting === 2, 'two wait');
      const refused = await ask('ann');
      assert.equal(refused.status, 429);
      assert.match(String(refused.headers['retry-after']), /^[1-9]\d{0,2}$/);
      answers.push(ask('ben'));
      await eventually(() => service.load.waiting === 3, 'ben waits too');
      open();
      assert.deepEqual(
        (await Promise.all(answers)).map(({ status }) => status),
        [200, 200, 200, 200],
      );
    });
  });

  it('gives up a request that is not finished in time, and nothing else', async () => {
    await withEndpoint({ reply: 'x'.repeat(4000), beforeStep }, async ({ url, service }) => {
      const client = clientFor(url);
      const body = { model: 'starling', prompt: 'a', max_tokens: 3000, temperature: 1, timeout: 0.05 };
      const other = client.completions.create({ model: 'starling', prompt: 'b', max_tokens: 200 });
      await assert.rejects(client.completions.create(body), hasCode('deadline_exceeded', 504));
      let chunks = 0;
      await assert.rejects(
        async () => {
          for await (const _ of await client.completions.create({ ...body, stream: true })) chunks++;
        },
        (error) => error instanceof APIError && error.code === 'deadline_exceeded',
      );
      assert.ok(chunks > 0);
      assert.equal((await other).usage?.completion_tokens, 200);
      await eventually(() => service.load.running === 0, 'all is over');
      assert.equal(service.statistics.kv.sequences, 0);
    });
  });

  it('refuses what would shift the context, and values that make no sense', async () => {
    await withEndpoint({}, async ({ url }) => {
      const refused: readonly (readonly [fields: object, code: string])[] = [
        [{ context_shift: true }, 'unsupported_parameter'],
        [{ truncation: 'auto' }, 'unsupported_parameter'],
        [{ truncate_prompt_tokens: 100 }, 'unsupported_parameter'],
        [{ priority: 'urgent' }, 'invalid_request'],
        [{ timeout: 0 }, 'invalid_request'],
        [{ timeout: 'soon' }, 'invalid_request'],
        [{ user: 7 }, 'invalid_request'],
      ];
      for (const [fields, code] of refused) {
        const body = JSON.stringify({ prompt: 'a', ...fields });
        const { status, text } = await rawRequest(`${url}/v1/completions`, { body });
        assert.deepEqual([status, JSON.parse(text).error.code], [400, code], text);
      }
      const fine = { prompt: 'a', context_shift: false, truncation: 'disabled', max_tokens: 1 };
      assert.equal((await rawRequest(`${url}/v1/completions`, { body: JSON.stringify(fine) })).status, 200);
    });
  });
});
