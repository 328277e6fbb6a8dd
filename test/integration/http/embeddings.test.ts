import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { eventually, rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';
import { tinyEndpoint } from '../../fixtures/tiny-endpoint.ts';

const TEXTS = ['A dog.', 'Tell me a story about a dog.', 'What does a cat eat?'];

const vectorsOf = ({ data }: OpenAI.CreateEmbeddingResponse): number[][] => data.map(({ embedding }) => embedding);

function assertUnit(vector: readonly number[], dimensions: number): void {
  assert.equal(vector.length, dimensions);
  const length = Math.hypot(...vector);
  assert.ok(Math.abs(length - 1) < 1e-6, `${length}`);
}

test('A13: the clients of OpenAI and Ollama get the same embeddings, in any form, alone and together', async (t) => {
  const { url, openai, dim, tokens } = await tinyEndpoint(t);
  const ollama = new Ollama({ host: url });
  const create = (more: Partial<OpenAI.EmbeddingCreateParams>) =>
    openai.embeddings.create({ model: 'tiny', input: TEXTS, ...more });

  const whole = await create({ encoding_format: 'float' });
  const vectors = vectorsOf(whole);
  for (const vector of vectors) assertUnit(vector, dim);
  assert.equal(new Set(vectors.map(String)).size, TEXTS.length);
  assert.deepEqual(
    [whole.object, whole.model, whole.data.map(({ object, index }) => [object, index])],
    ['list', 'tiny', TEXTS.map((_, i) => ['embedding', i])],
  );
  const promptTokens = TEXTS.reduce((sum, text) => sum + tokens(text).length, 0);
  assert.deepEqual(whole.usage, {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens,
    prompt_tokens_details: { cached_tokens: 0 },
  });
  // The client asks for base64 where it is not told otherwise, and unpacks it.
  assert.deepEqual(vectorsOf(await create({})), vectors);
  const packed = await create({ encoding_format: 'base64' });
  assert.deepEqual(
    Buffer.from(packed.data[0]!.embedding as unknown as string, 'base64'),
    Buffer.from(Float32Array.from(vectors[0]!).buffer),
  );
  for (const [i, text] of TEXTS.entries()) {
    assert.deepEqual(vectorsOf(await create({ input: text })), [vectors[i]]);
    assert.deepEqual(vectorsOf(await create({ input: tokens(text) })), [vectors[i]]);
  }
  assert.deepEqual(vectorsOf(await create({ input: TEXTS.map(tokens) })), vectors);
  const body = JSON.stringify({ input: TEXTS });
  const unversioned = await rawRequest(`${url}/embeddings`, { body });
  assert.deepEqual(vectorsOf(JSON.parse(unversioned.text)), vectors);

  const short = vectorsOf(await create({ dimensions: 8 }));
  for (const [i, vector] of short.entries()) {
    assertUnit(vector, 8);
    const scale = Math.hypot(...vectors[i]!.slice(0, 8));
    for (const [j, value] of vector.entries()) assert.ok(Math.abs(value - vectors[i]![j]! / scale) < 1e-6);
  }
  const [mean] = vectorsOf(await create({ pooling: 'mean' } as object));
  assertUnit(mean!, dim);
  assert.notDeepEqual(mean, vectors[0]);
  assert.deepEqual(vectorsOf(await create({ pooling: 'last' } as object)), vectors);

  const embedded = await ollama.embed({ model: 'tiny', input: TEXTS, truncate: true });
  assert.deepEqual([embedded.model, embedded.embeddings], ['tiny', vectors]);
  assert.equal(embedded.prompt_eval_count, promptTokens);
  assert.ok(embedded.total_duration > 0);
  assert.deepEqual((await ollama.embed({ model: 'tiny:latest', input: TEXTS[1]! })).embeddings, [vectors[1]]);
  assert.deepEqual((await ollama.embed({ model: 'tiny', input: TEXTS, dimensions: 8 })).embeddings, short);
  assert.deepEqual((await ollama.embeddings({ model: 'tiny', prompt: TEXTS[2]! })).embedding, vectors[2]);
  // By no text clients have a model loaded.
  for (const input of ['', []]) assert.deepEqual((await ollama.embed({ model: 'tiny', input })).embeddings, []);
  assert.deepEqual((await ollama.embeddings({ model: 'tiny', prompt: '' })).embedding, []);
});

test('what is wrong with an input is told, with its place', async () => {
  await withEndpoint({ contextLength: 64 }, async ({ url, service, model }) => {
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    const ollama = new Ollama({ host: url });
    const cases: [fields: object, code: string, param: string, message: RegExp][] = [
      [{ input: undefined }, 'invalid_request', 'input', /missing/],
      [{ input: ['a', ''] }, 'invalid_request', 'input', /input 1 is empty/],
      [{ input: [] }, 'invalid_request', 'input', /text/],
      [{ input: ['a', 5] }, 'invalid_request', 'input[1]', /'input\[1\]'/],
      [{ input: [[1], [2, -1]] }, 'invalid_request', 'input[1][1]', /'input\[1\]\[1\]'/],
      [{ input: [[1], [2, 9999]] }, 'invalid_request', 'input[1]', /'input\[1\]' has the token id 9999/],
      [{ input: Array(2049).fill('a') }, 'invalid_request', 'input', /2048/],
      [{ input: ['a', 'b', 'x'.repeat(99)] }, 'context_length_exceeded', 'input', /input 2 has 100 tokens.*holds 64/],
      [{ dimensions: 0 }, 'invalid_request', 'dimensions', /1 to 258/],
      [{ dimensions: 259 }, 'invalid_request', 'dimensions', /1 to 258/],
      [{ encoding_format: 'int8' }, 'invalid_request', 'encoding_format', /float/],
      [{ pooling: 'max' }, 'invalid_request', 'pooling', /mean/],
      [{ input_type: 'query' }, 'unsupported_parameter', 'input_type', /"input"/],
    ];
    for (const [fields, code, param, message] of cases) {
      await assert.rejects(
        openai.embeddings.create({ model: 'fake-model', input: 'a', ...fields }),
        (error) =>
          error instanceof BadRequestError &&
          error.code === code &&
          error.param === param &&
          message.test(error.message),
        JSON.stringify(fields).slice(0, 200),
      );
    }
    await assert.rejects(openai.embeddings.create({ model: 'other', input: 'a' }), NotFoundError);
    const of = { model: 'fake-model' };
    await assert.rejects(ollama.embed({ ...of, input: ['a', 'x'.repeat(99)], truncate: true }), /input 1 has 100/);
    await assert.rejects(ollama.embed({ ...of, input: ['a', ''] }), /input 1 is empty/);
    await assert.rejects(ollama.embed({ ...of, input: 'a', dimensions: 1000 }), /1 to 258/);
    await assert.rejects(ollama.embeddings({ model: 'other', prompt: 'a' }), /'other' is not served/);
    assert.equal(model.steps, 0);

    const { data } = await openai.embeddings.create({ ...of, input: Array(100).fill('a'), dimensions: 2 });
    assert.deepEqual([data.length, data.at(-1)?.index], [100, 99]);
    assert.equal(service.statistics.kv.sequences, 0);
  });
});

test('the work on embeddings ends when the client leaves', async () => {
  const beforeStep = () => new Promise<void>((resolve) => setTimeout(resolve, 5));
  await withEndpoint({ beforeStep }, async ({ url, service, model }) => {
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    const input = Array.from({ length: 2000 }, (_, i) => `${i}`.repeat(9));
    const signal = AbortSignal.timeout(60);
    await assert.rejects(openai.embeddings.create({ model: 'fake-model', input }, { signal }));
    await eventually(() => service.load.running + service.load.waiting === 0, 'the work has ended');
    assert.ok(model.steps < 100, `${model.steps} steps`);
  });
});
