import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, {
  APIError,
  APIUserAbortError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { StarlingError } from '../../../daemon/errors.ts';
import { eventually, withEndpoint } from '../../fixtures/http-endpoint.ts';
import { OpenApiSchemas } from '../../fixtures/openapi-schema.ts';
import { sharedData } from '../../fixtures/shared-data.ts';

const openapiPath = sharedData('openapi/openapi.yaml');
const schemas = openapiPath === null ? null : new OpenApiSchemas(openapiPath);

function assertShape(name: string, value: unknown): void {
  if (schemas !== null) assert.deepEqual(schemas.problems(name, value), [], JSON.stringify(value));
}

const clientFor = (url: string): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
const messages = [{ role: 'user' as const, content: 'Hi' }];
const chat = { model: 'fake-model', messages };

describe('the OpenAI client', () => {
  it('has its shapes checked against the API description', { skip: schemas === null && 'no ../shared/data' }, () => {
    assert.deepEqual(schemas?.problems('CompletionUsage', { prompt_tokens: 1, completion_tokens: 'x' }), [
      'CompletionUsage.total_tokens: missing',
      'CompletionUsage.completion_tokens: expected integer',
    ]);
    const wrong = { id: 'a', object: 'model', created: 1, owned_by: 2 };
    assert.deepEqual(schemas?.problems('ListModelsResponse', { object: 'list', data: [wrong] }), [
      'ListModelsResponse.data[0].owned_by: expected string',
    ]);
    assert.ok((schemas?.problems('CreateChatCompletionResponse', { choices: [{}] }) ?? []).length > 5);
  });

  it('completes a chat', async () => {
    await withEndpoint({ reply: 'Hello €!' }, async ({ url }) => {
      const answer = await clientFor(url).chat.completions.create(chat);
      assertShape('CreateChatCompletionResponse', answer);
      assert.match(answer.id, /^chatcmpl-[0-9a-f]{32}$/);
      assert.equal(answer.object, 'chat.completion');
      assert.equal(answer.model, 'fake-model');
      assert.ok(Math.abs(answer.created - Date.now() / 1000) < 60);
      assert.deepEqual(answer.choices, [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello €!', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ]);
      // `<s>user: Hi⏎assistant: ` is 21 tokens.
      assert.deepEqual(answer.usage, {
        prompt_tokens: 21,
        completion_tokens: 10,
        total_tokens: 31,
        prompt_tokens_details: { cached_tokens: 0 },
      });
    });
  });

  it('streams a chat chunk by chunk', async () => {
    await withEndpoint({ reply: 'Hé!' }, async ({ url }) => {
      const stream = await clientFor(url).chat.completions.create({
        ...chat,
        stream: true,
        stream_options: { include_usage: true },
      });
      const chunks = [];
      for await (const chunk of stream) chunks.push(chunk);
      for (const chunk of chunks) {
        assertShape('CreateChatCompletionStreamResponse', chunk);
        assert.equal(chunk.id, chunks[0]!.id);
        assert.equal(chunk.created, chunks[0]!.created);
      }
      const choice = (delta: object, finish_reason: string | null) => [
        { index: 0, delta, logprobs: null, finish_reason },
      ];
      assert.deepEqual(
        chunks.map(({ choices }) => choices),
        [
          choice({ role: 'assistant', content: '', refusal: null }, null),
          choice({ content: 'H' }, null),
          choice({ content: 'é' }, null),
          choice({ content: '!' }, null),
          choice({}, 'stop'),
          [],
        ],
      );
      assert.deepEqual(
        chunks.map(({ usage }) => usage),
        [
          null,
          null,
          null,
          null,
          null,
          { prompt_tokens: 21, completion_tokens: 4, total_tokens: 25, prompt_tokens_details: { cached_tokens: 0 } },
        ],
      );
    });
  });

  it('leaves the usage out of a stream that does not ask for it', async () => {
    await withEndpoint({}, async ({ url }) => {
      const stream = await clientFor(url).chat.completions.create({ ...chat, stream: true });
      for await (const chunk of stream) assert.equal('usage' in chunk, false);
    });
  });

  it('returns several choices, the same whether streamed or not, reproducible by seed', async () => {
    await withEndpoint({ certainty: 4 }, async ({ url }) => {
      const client = clientFor(url);
      const request = { ...chat, n: 3, seed: 17, max_tokens: 12 };
      const whole = await client.chat.completions.create(request);
      const texts = whole.choices.map(({ message }) => message.content);
      assert.deepEqual(
        whole.choices.map(({ index }) => index),
        [0, 1, 2],
      );
      assert.equal(new Set(texts).size, 3);
      assert.equal(whole.usage?.prompt_tokens, 21);
      const streamed = ['', '', ''];
      for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
        for (const { index, delta } of chunk.choices) streamed[index] += delta.content ?? '';
      }
      assert.deepEqual(streamed, texts);
    });
  });

  it('gives log probabilities of chats', async () => {
    await withEndpoint({ reply: 'A€' }, async ({ url }) => {
      const client = clientFor(url);
      const request = { ...chat, logprobs: true, top_logprobs: 2 };
      const whole = await client.chat.completions.create(request);
      assertShape('CreateChatCompletionResponse', whole);
      const content = whole.choices[0]!.logprobs!.content!;
      assert.deepEqual(
        content.map(({ bytes }) => bytes),
        [[65], [0xe2], [0x82], [0xac]],
      );
      assert.equal(content[0]!.token, 'A');
      assert.ok(content.every(({ top_logprobs }) => top_logprobs.length === 2));
      const streamed = [];
      for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
        assertShape('CreateChatCompletionStreamResponse', chunk);
        streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
      }
      assert.deepEqual(streamed, content);
    });
  });

  it('completes prompts: text, token ids, several of either, echo and log probabilities', async () => {
    await withEndpoint({ reply: 'ok' }, async ({ url }) => {
      const completions = clientFor(url).completions;
      const one = await completions.create({ model: 'fake-model', prompt: 'Say', logprobs: 1 });
      assertShape('CreateCompletionResponse', one);
      assert.match(one.id, /^cmpl-[0-9a-f]{32}$/);
      assert.equal(one.object, 'text_completion');
      assert.equal(one.choices[0]!.text, 'ok');
      assert.equal(one.choices[0]!.finish_reason, 'stop');
      assert.deepEqual(one.usage, {
        prompt_tokens: 4,
        completion_tokens: 2,
        total_tokens: 6,
        prompt_tokens_details: { cached_tokens: 0 },
      });
      assert.deepEqual(one.choices[0]!.logprobs?.tokens, ['o', 'k']);
      assert.deepEqual(one.choices[0]!.logprobs?.text_offset, [0, 1]);
      assert.deepEqual(Object.keys(one.choices[0]!.logprobs?.top_logprobs?.[0] ?? {}), ['o']);

      const several = await completions.create({ model: 'fake-model', prompt: ['a', 'b'], n: 2, echo: true });
      assertShape('CreateCompletionResponse', several);
      assert.deepEqual(
        several.choices.map(({ index, text }) => [index, text]),
        [
          [0, 'aok'],
          [1, 'aok'],
          [2, 'bok'],
          [3, 'bok'],
        ],
      );
      const ids = await completions.create({ model: 'fake-model', prompt: [67, 68], echo: true });
      assert.equal(ids.choices[0]!.text, 'ABok');
      const lists = await completions.create({ model: 'fake-model', prompt: [[67], [68, 69]] });
      assert.deepEqual([lists.choices.length, lists.usage?.prompt_tokens], [2, 3]);
    });
  });

  it('streams completions', async () => {
    await withEndpoint({ reply: 'one, two' }, async ({ url }) => {
      const stream = await clientFor(url).completions.create({
        model: 'starling',
        prompt: 'count: ',
        echo: true,
        stop: [','],
        stream: true,
        stream_options: { include_usage: true },
      });
      const chunks = [];
      for await (const chunk of stream) chunks.push(chunk);
      assert.equal(chunks.map(({ choices }) => choices[0]?.text ?? '').join(''), 'count: one');
      assert.deepEqual(
        chunks.map(({ choices }) => choices[0]?.finish_reason),
        [null, null, null, null, 'stop', undefined],
      );
      assert.deepEqual(chunks.at(-1)?.usage, {
        prompt_tokens: 8,
        completion_tokens: 4,
        total_tokens: 12,
        prompt_tokens_details: { cached_tokens: 0 },
      });
    });
  });

  it('applies stop strings, limits and bias', async () => {
    await withEndpoint({ reply: 'Hello, world!' }, async ({ url }) => {
      const create = async (more: object): Promise<[string | null | undefined, string | undefined]> => {
        const { choices } = await clientFor(url).chat.completions.create({ ...chat, ...more, stream: false });
        return [choices[0]?.message.content, choices[0]?.finish_reason];
      };
      assert.deepEqual(await create({ stop: ', w' }), ['Hello', 'stop']);
      assert.deepEqual(await create({ stop: null, max_completion_tokens: 4, max_tokens: 9 }), ['Hell', 'length']);
      assert.deepEqual(await create({ max_tokens: 2, logit_bias: { 88: 100 } }), ['VV', 'length']);
    });
  });

  it('lists the model', async () => {
    await withEndpoint({}, async ({ url }) => {
      const client = clientFor(url);
      const { data } = await client.models.list();
      assert.deepEqual(
        data.map(({ id, created, owned_by }) => [id, created, owned_by]),
        [['fake-model', 1_700_000_000, 'starling']],
      );
      assert.equal((await client.models.retrieve('fake-model')).object, 'model');
      await assert.rejects(client.models.retrieve('gpt-4/turbo'), NotFoundError);
    });
  });

  it('meets errors as its typed errors', async () => {
    await withEndpoint({ contextLength: 64 }, async ({ url }) => {
      const client = clientFor(url);
      await assert.rejects(
        client.chat.completions.create({ ...chat, model: 'gpt-4' }),
        (error) =>
          error instanceof NotFoundError && error.code === 'model_not_found' && /'fake-model'/.test(error.message),
      );
      await assert.rejects(
        client.chat.completions.create({ ...chat, temperature: 3 }),
        (error) =>
          error instanceof BadRequestError && error.code === 'invalid_request' && error.param === 'temperature',
      );
      const tool = { type: 'function' as const, function: { name: 'f', parameters: {} } };
      await assert.rejects(
        client.chat.completions.create({ ...chat, tools: [tool] }),
        (error) =>
          error instanceof BadRequestError && error.code === 'unsupported_parameter' && error.param === 'tools',
      );
      for (const stream of [false, true]) {
        await assert.rejects(
          client.chat.completions.create({ ...chat, stream, messages: [{ role: 'user', content: 'x'.repeat(99) }] }),
          (error) =>
            error instanceof BadRequestError &&
            error.code === 'context_length_exceeded' &&
            /118 tokens.*holds 64/.test(error.message),
        );
      }
    });
  });

  it('meets a full queue as a rate limit', async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    await withEndpoint({ beforeStep: () => gate, queueLimit: 1 }, async ({ url, service }) => {
      const client = clientFor(url);
      const running = client.chat.completions.create(chat);
      await eventually(() => service.load.running === 1, 'the first request runs');
      const waiting = client.chat.completions.create(chat);
      await eventually(() => service.load.waiting === 1, 'the second request waits');
      for (const stream of [false, true]) {
        await assert.rejects(
          client.chat.completions.create({ ...chat, stream }),
          (error) => error instanceof RateLimitError && error.code === 'queue_full',
        );
      }
      open();
      const answers = await Promise.all([running, waiting]);
      assert.deepEqual(
        answers.map(({ choices }) => choices[0]?.message.content),
        ['Hello, world!', 'Hello, world!'],
      );
    });
  });

  it('meets a failure of the cluster as a status, or as an event of a stream that has begun', async () => {
    let brokenFrom = 2;
    const beforeStep = (step: number): void => {
      if (step >= brokenFrom) throw new StarlingError('numeric_overflow', 'layer 3 is not finite');
    };
    // Nothing of the reply is in the prompt, so that none of it is drafted.
    await withEndpoint({ reply: 'QXYZ', beforeStep }, async ({ url, service, model }) => {
      const client = clientFor(url);
      await assert.rejects(
        client.chat.completions.create(chat),
        (error) => error instanceof InternalServerError && error.code === 'numeric_overflow',
      );
      brokenFrom = model.steps + 2;
      let text = '';
      await assert.rejects(
        async () => {
          for await (const chunk of await client.chat.completions.create({ ...chat, stream: true })) {
            text += chunk.choices[0]?.delta.content ?? '';
          }
        },
        (error) => error instanceof APIError && error.code === 'numeric_overflow' && /layer 3/.test(error.message),
      );
      assert.equal(text, 'QX');
      assert.deepEqual(service.load, { waiting: 0, running: 0 });
    });
  });

  it('aborts a stream, and the work ends with it', async () => {
    const beforeStep = (step: number) => new Promise<void>((resolve) => setTimeout(resolve, step === 0 ? 0 : 5));
    await withEndpoint({ reply: 'x'.repeat(3000), beforeStep }, async ({ url, model, service }) => {
      const abort = new AbortController();
      const client = clientFor(url);
      const stream = await client.chat.completions.create({ ...chat, stream: true }, { signal: abort.signal });
      let count = 0;
      for await (const _ of stream) if (++count === 5) abort.abort();
      await eventually(() => service.statistics.kv.sequences === 0 && service.load.running === 0, 'the work has ended');
      const steps = model.steps;
      assert.ok(steps < 100, `${steps} steps`);
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal(model.steps, steps);
      const whole = client.chat.completions.create(chat, { signal: AbortSignal.timeout(20) });
      await assert.rejects(whole, APIUserAbortError);
      await eventually(
        () => service.statistics.kv.sequences === 0 && service.load.running === 0,
        'the second has ended',
      );
    });
  });

  it('gets 50 requests at once answered, each with its own text', async () => {
    await withEndpoint({ reply: 'ok' }, async ({ url, service }) => {
      const client = clientFor(url);
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          client.completions.create({ model: 'default', prompt: `${index}:`, echo: true }),
        ),
      );
      assert.deepEqual(
        answers.map(({ choices }) => choices[0]?.text),
        Array.from({ length: 50 }, (_, index) => `${index}:ok`),
      );
      assert.deepEqual([service.statistics.textsFinished, service.statistics.kv.sequences], [50, 0]);
    });
  });
});
