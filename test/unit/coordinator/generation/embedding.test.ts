import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EmbeddingOptions } from '../../../../coordinator/generation/embedding.ts';
import { NOBODY_IN_PARTICULAR } from '../../../../coordinator/generation/events.ts';
import { Pool } from '../../../../coordinator/generation/pooling.ts';
import { GREEDY } from '../../../../coordinator/generation/sampler.ts';
import { TextService, type TextServiceOptions } from '../../../../coordinator/generation/text-service.ts';
import type { LanguageModel } from '../../../../coordinator/language-model.ts';
import { MAX_ROWS } from '../../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { createLogger } from '../../../../daemon/log.ts';
import { expectedEmbedding } from '../../../fixtures/expected-embedding.ts';
import { byteCodec, byteToken, END_TOKEN, plainTemplate } from '../../../fixtures/fake-text-model.ts';
import { HashModel, type HashModelOptions } from '../../../fixtures/hash-model.ts';

const OPTIONS: EmbeddingOptions = { pooling: null, dimensions: null, standing: NOBODY_IN_PARTICULAR };
const MEAN: EmbeddingOptions = { ...OPTIONS, pooling: 'mean' };

const hashModel = (options: Partial<HashModelOptions> = {}): HashModel =>
  new HashModel({ contextLength: 300, kvPages: 40, vocabSize: 300, ...options });

const serviceOf = (model: LanguageModel, options: Partial<TextServiceOptions> = {}): TextService =>
  new TextService({
    modelId: 'fake',
    created: 1,
    model,
    codec: byteCodec,
    template: plainTemplate,
    log: createLogger('silent', 'test'),
    ...options,
  });

/** The hidden state after each token. */
const statesOf = (model: HashModel, tokens: readonly number[]): Float32Array[] =>
  tokens.map((_, i) => model.logits(tokens.slice(0, i + 1)));

const tokensOf = (text: string): number[] => byteCodec.encode(text, { addSpecial: true, parseSpecial: true });

const refuses = (code: string, pattern: RegExp) => (error: unknown) =>
  error instanceof StarlingError && error.code === code && pattern.test(error.message);

describe('Pool', () => {
  it('gives the mean or the last state, cut first and then made 1 long', () => {
    const pools = [new Pool('mean'), new Pool('last')];
    for (const pool of pools) {
      pool.add(Float32Array.of(1, 2, 9));
      pool.add(Float32Array.of(5, 6, 9));
    }
    assert.deepEqual(
      pools.map((pool) => pool.embedding(2)),
      [Float32Array.of(0.6, 0.8), Float32Array.of(5 / Math.sqrt(61), 6 / Math.sqrt(61))],
    );
  });

  it('leaves zeros as they are', () => {
    const pool = new Pool('mean');
    pool.add(new Float32Array(2));
    assert.deepEqual(pool.embedding(2), new Float32Array(2));
  });
});

describe('embeddings', () => {
  it('pools the hidden states of all tokens, of texts and of token ids', async () => {
    const model = hashModel();
    const long = 'x'.repeat(2 * MAX_ROWS + 7);
    const inputs = ['a', long, tokensOf('abc')];
    for (const pooling of ['mean', 'last'] as const) {
      const { vectors, promptTokens } = await serviceOf(model).embed(inputs, { ...OPTIONS, pooling });
      const tokens = ['a', long, 'abc'].map(tokensOf);
      assert.deepEqual(
        vectors,
        tokens.map((each) => expectedEmbedding(statesOf(model, each), pooling)),
      );
      assert.equal(promptTokens, 2 + long.length + 1 + 4);
    }
    const { vectors } = await serviceOf(model).embed(['abc'], { ...MEAN, dimensions: 7 });
    assert.deepEqual(vectors, [expectedEmbedding(statesOf(model, tokensOf('abc')), 'mean', 7)]);
  });

  it('pools as the model file says, ends a text where it says so, and takes the last state otherwise', async () => {
    const model = hashModel();
    const [a, b, c] = await Promise.all([
      serviceOf(model).embed(['abc'], OPTIONS),
      serviceOf(hashModel(), { embedding: { pooling: 'mean', end: END_TOKEN } }).embed(
        ['abc', tokensOf('abc')],
        OPTIONS,
      ),
      serviceOf(hashModel(), { embedding: { pooling: 'mean', end: null } }).embed(['abc'], {
        ...OPTIONS,
        pooling: 'last',
      }),
    ]);
    assert.deepEqual(a.vectors, [expectedEmbedding(statesOf(model, tokensOf('abc')), 'last')]);
    assert.deepEqual(
      b.vectors,
      [[...tokensOf('abc'), END_TOKEN], tokensOf('abc')].map((each) =>
        expectedEmbedding(statesOf(model, each), 'mean'),
      ),
    );
    assert.deepEqual(c.vectors, a.vectors);
    const other = serviceOf(hashModel(), { embedding: { pooling: 'other', end: null } });
    await assert.rejects(other.embed(['abc'], OPTIONS), refuses('unsupported_parameter', /"mean" or "last"/));
    assert.equal((await other.embed(['abc'], MEAN)).vectors.length, 1);
  });

  it('takes over what was computed before for a last state, and never for a mean', async () => {
    const model = hashModel();
    const service = serviceOf(model);
    const text = 'y'.repeat(200);
    const cached = async (options: EmbeddingOptions): Promise<number> => {
      const { vectors, cachedTokens } = await service.embed([text], options);
      assert.deepEqual(vectors, [expectedEmbedding(statesOf(model, tokensOf(text)), options.pooling ?? 'last')]);
      return cachedTokens;
    };
    assert.deepEqual(
      [await cached(MEAN), await cached(OPTIONS), await cached(MEAN), await cached(OPTIONS)],
      [0, 200, 0, 200],
    );
    assert.equal(service.statistics.kv.sequences, 0);
  });

  it('computes many texts in steps that are full, and keeps nobody else out meanwhile', async () => {
    const model = hashModel({ contextLength: 32 });
    const service = serviceOf(model, { now: () => 0 });
    const inputs = Array.from({ length: 40 * MAX_ROWS }, (_, i) => [byteToken(i % 256), byteToken(i >>> 8)]);
    const all = service.embed(inputs, MEAN);
    const settings = { maxTokens: 3, sampling: GREEDY, stop: [], logprobs: null, choices: 1 };
    let answerAt = 0;
    for await (const event of service.complete([[5]], {
      ...settings,
      standing: { ...NOBODY_IN_PARTICULAR, user: 'b' },
    })) {
      if (event.type === 'end') answerAt = model.steps;
    }
    const { vectors } = await all;
    assert.deepEqual(
      vectors,
      inputs.map((tokens) => expectedEmbedding(statesOf(model, tokens), 'mean')),
    );
    assert.ok(answerAt < 12, `the answer came after step ${answerAt}`);
    // Two rows a text, and a few of the answer's.
    assert.ok(model.steps <= 2 * 40 + 3, `${model.steps} steps`);
  });

  it('has a request that has begun count as running until its last text', async () => {
    const model = hashModel({ kvPages: MAX_ROWS });
    const service = serviceOf(model, { now: () => 0 });
    let isDone = false;
    const inputs = Array.from({ length: 4 * MAX_ROWS }, () => [5]);
    const all = service.embed(inputs, MEAN).then(() => {
      isDone = true;
    });
    const loads = new Set<string>();
    for (await nextTurn(); !isDone; await nextTurn()) loads.add(JSON.stringify(service.load));
    await all;
    assert.deepEqual([...loads], ['{"waiting":0,"running":1}']);
    assert.equal(model.steps, 4);
  });

  it('refuses what cannot be embedded, and says which input it is', async () => {
    const service = serviceOf(hashModel({ contextLength: 8 }));
    const cases: [readonly (string | readonly number[])[], Partial<EmbeddingOptions>, string, RegExp][] = [
      [[], {}, 'invalid_request', /no input/],
      [['a', ''], {}, 'invalid_request', /input 1 is empty/],
      [['a', 'b', []], {}, 'invalid_request', /input 2 is empty/],
      [['a', 'too long by far'], {}, 'context_length_exceeded', /input 1 has 16 tokens.* holds 8/],
      [[[300]], {}, 'invalid_request', /token id 300/],
      [['a'], { dimensions: 0 }, 'invalid_request', /dimensions is 0.*1 to 300/],
      [['a'], { dimensions: 301 }, 'invalid_request', /dimensions is 301/],
      [['a'], { dimensions: 1.5 }, 'invalid_request', /dimensions is 1.5/],
    ];
    for (const [inputs, options, code, pattern] of cases) {
      await assert.rejects(service.embed(inputs, { ...OPTIONS, ...options }), refuses(code, pattern));
    }
    assert.deepEqual(service.load, { waiting: 0, running: 0 });
  });

  it('ends within a step when it is cancelled, fails or takes too long, and leaves nothing behind', async () => {
    const abort = new AbortController();
    let steps = 0;
    const model = hashModel({
      kvPages: 10,
      beforeStep: async () => {
        if (++steps === 3) abort.abort();
        if (steps === 6) throw new StarlingError('device_lost', 'gone');
        if (steps > 6) await new Promise((resolve) => setTimeout(resolve, 5));
      },
    });
    const service = serviceOf(model);
    const inputs = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(100));
    await assert.rejects(service.embed(inputs, MEAN, abort.signal), refuses('cancelled', /./));
    assert.ok(steps <= 4, `${steps} steps`);
    await assert.rejects(service.embed(inputs, MEAN, abort.signal), refuses('cancelled', /./));
    await assert.rejects(service.embed(inputs, MEAN), refuses('device_lost', /gone/));
    const standing = { ...NOBODY_IN_PARTICULAR, timeoutMs: 20 };
    await assert.rejects(service.embed(inputs, { ...MEAN, standing }), refuses('deadline_exceeded', /./));
    service.stop();
    await assert.rejects(service.embed(['a'], MEAN), refuses('cancelled', /stopping/));
    const { kv, requestsRunning, requestsWaiting } = service.statistics;
    assert.deepEqual([requestsRunning, requestsWaiting, kv.sequences], [0, 0, 0]);
    assert.equal(kv.free + kv.cached, 10);
  });
});
