import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DraftModel } from '../../../../coordinator/drafts/draft-model.ts';
import type { GenerationRequest } from '../../../../coordinator/generation/answer.ts';
import { EmbeddingText } from '../../../../coordinator/generation/embedding.ts';
import { type GenerationEvent, NOBODY_IN_PARTICULAR } from '../../../../coordinator/generation/events.ts';
import { Generator } from '../../../../coordinator/generation/generator.ts';
import { logprobs } from '../../../../coordinator/generation/log-probabilities.ts';
import { GREEDY, type SamplingOptions, sample } from '../../../../coordinator/generation/sampler.ts';
import type { TextCodec } from '../../../../coordinator/generation/text-codec.ts';
import type { Priority } from '../../../../coordinator/scheduling/job.ts';
import { pagesFor } from '../../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { createLogger } from '../../../../daemon/log.ts';
import { expectedEmbedding } from '../../../fixtures/expected-embedding.ts';
import { HashModel } from '../../../fixtures/hash-model.ts';
import { Random } from '../../../fixtures/random.ts';

const CASES = 300;
const END = 0;
const log = createLogger('silent', 'test');

const codec: TextCodec = {
  encode: () => [],
  isEndOfGeneration: (token) => token === END,
  pieceBytes: () => new Uint8Array(),
  createDetokenizer: () => ({ push: (token) => `${token} `, flush: () => '' }),
};

interface Outcome {
  readonly tokens: readonly number[];
  /** Of the logits that each of them was drawn from. */
  readonly logits: string;
}

/** What a text is when nothing else is computed beside it, straight from the model's function. */
function alone(model: HashModel, { promptTokens, maxTokens, sampling }: GenerationRequest): Outcome {
  const content = [...promptTokens];
  const tokens: number[] = [];
  const hash = createHash('sha256');
  const generated = new Map<number, number>();
  while (tokens.length < (maxTokens ?? Number.POSITIVE_INFINITY) && content.length <= model.contextLength) {
    const logits = model.logits(content);
    hash.update(logits);
    const token = sample(logits, sampling, content.length, generated);
    if (token === END) break;
    tokens.push(token);
    content.push(token);
    generated.set(token, (generated.get(token) ?? 0) + 1);
  }
  return { tokens, logits: hash.digest('hex') };
}

interface Case {
  readonly request: GenerationRequest;
  readonly user: string;
  readonly priority: Priority;
  readonly choices: number;
  /** Steps of the model before it is asked for. */
  readonly arrival: number;
  /** Tokens after which the client leaves; null to stay. */
  readonly leavesAfter: number | null;
  /** Turns that the client takes over each event. */
  readonly slowness: number;
}

function randomSampling(random: Random): SamplingOptions {
  if (random.chance(0.4)) return GREEDY;
  const temperature = 0.5 + random.unit();
  const frequencyPenalty = random.chance(0.3) ? random.unit() : 0;
  return { ...GREEDY, temperature, topK: random.pick([0, 5]), seed: random.u32(), frequencyPenalty };
}

function randomCase(random: Random, context: number, beginnings: readonly (readonly number[])[]): Case {
  const beginning = random.chance(0.7) ? random.pick(beginnings) : [];
  const rest = Array.from({ length: random.between(1, 40) }, () => random.between(1, 23));
  const promptTokens = [...beginning.slice(0, random.between(0, beginning.length)), ...rest].slice(0, context);
  return {
    request: {
      promptTokens,
      maxTokens: random.chance(0.2) ? null : random.between(1, 60),
      sampling: randomSampling(random),
      stop: [],
      logprobs: null,
      promptLogProbs: random.chance(0.15) ? 1 : null,
    },
    user: random.pick(['ann', 'ben', 'cat']),
    priority: random.chance(0.3) ? 'batch' : 'interactive',
    choices: random.chance(0.15) ? 3 : 1,
    arrival: random.below(60),
    leavesAfter: random.chance(0.2) ? random.below(10) : null,
    slowness: random.chance(0.2) ? random.between(1, 4) : 0,
  };
}

/** Where an event tells how likely the prompt's tokens were, it is what the model's function says. */
function checkJudged(model: HashModel, { promptTokens }: GenerationRequest, { promptLogProbs }: GenerationEvent): void {
  if (promptLogProbs === undefined) return;
  assert.equal(promptLogProbs.length, promptTokens.length - 1);
  for (const [i, judged] of promptLogProbs.entries()) {
    assert.deepEqual(judged, logprobs(model.logits(promptTokens.slice(0, i + 1)), promptTokens[i + 1]!, 1));
  }
}

/** Asks for a case's texts and takes them as its client does. */
async function take(generator: Generator, model: HashModel, wanted: Case): Promise<Outcome[]> {
  const { request, user, priority, choices, leavesAfter, slowness } = wanted;
  const hashes = Array.from({ length: choices }, () => createHash('sha256'));
  const outcomes = hashes.map(() => [] as number[]);
  const requests = hashes.map((hash) => ({ ...request, onLogits: (logits: Float32Array) => void hash.update(logits) }));
  const events = await generator.submit(requests, { user, priority, timeoutMs: null });
  let taken = 0;
  for await (const event of events) {
    checkJudged(model, request, event);
    if (event.type === 'token') outcomes[event.choice]!.push(event.token);
    for (let turn = 0; turn < slowness; turn++) await nextTurn();
    if (taken++ === leavesAfter) return [];
  }
  return outcomes.map((tokens, i) => ({ tokens, logits: hashes[i]!.digest('hex') }));
}

/** Asks for the embeddings of texts that begin like others, and compares them with the model's function. */
async function embed(generator: Generator, model: HashModel, wanted: Case): Promise<void> {
  const { promptTokens } = wanted.request;
  const texts = (['mean', 'last'] as const).map(
    (pooling, i) => new EmbeddingText(promptTokens.slice(i), pooling, model.dim),
  );
  const some = texts.filter(({ tokens }) => tokens.length > 0);
  await generator.embed(some, { ...NOBODY_IN_PARTICULAR, user: wanted.user, priority: wanted.priority });
  for (const { tokens, pooling, vector } of some) {
    const states = tokens.map((_, at) => model.logits(tokens.slice(0, at + 1)));
    assert.deepEqual(vector, expectedEmbedding(states, pooling));
  }
}

async function runCases(
  seed: number,
): Promise<{ drafted: number; accepted: number; cached: number; preempted: number; moved: number }> {
  const random = new Random(seed);
  const contextLength = random.between(100, 300);
  // From a single conversation of full length to plenty.
  const kvPages = pagesFor(contextLength) * random.pick([1, 1, 2, 4, 8]);
  const memory = random.pick([1, 2, 3, Number.POSITIVE_INFINITY]);
  const beginnings = [1, 2].map(() => Array.from({ length: contextLength - 20 }, () => random.between(1, 23)));
  const cases = Array.from({ length: random.between(1, 14) }, () => randomCase(random, contextLength, beginnings));
  let clock = 0;
  const model = new HashModel({
    contextLength,
    kvPages,
    memory,
    beforeStep: async (batch) => {
      clock += 20 + batch.reduce((sum, { tokens }) => sum + tokens.length, 0) * random.pick([0.5, 4]);
      if (random.chance(0.2)) await nextTurn();
    },
  });
  // One that knows the answer, one that guesses, and none.
  const draftMemory = random.pick([memory, 1, null, null]);
  const draft =
    draftMemory === null
      ? undefined
      : new DraftModel(
          new HashModel({
            contextLength: random.pick([80, contextLength]),
            kvPages: 6,
            memory: draftMemory,
            beforeStep: async () => {
              if (random.chance(0.1)) await nextTurn();
            },
          }),
          1,
        );
  const generator = new Generator({ model, codec, log, now: () => clock, ...(draft === undefined ? {} : { draft }) });
  // Every other mix is moved to other devices now and then, which takes a while.
  const moves = seed % 2 === 0 ? new Random(seed) : null;
  let moved = 0;
  const move = async (): Promise<void> => {
    for (let turn = moves!.below(9); turn > 0; turn--) await nextTurn();
    await generator.rebuild(async () => {
      for (let turn = moves!.below(4); turn > 0; turn--) await nextTurn();
      model.move(pagesFor(contextLength) * moves!.pick([1, 3]));
      moved++;
    });
  };
  const moving = Array.from({ length: moves?.below(6) ?? 0 }, move);
  await Promise.all([
    ...moving,
    ...cases.map(async (wanted, i) => {
      while (model.steps < wanted.arrival && generator.load.running > 0) await nextTurn();
      if (i % 6 === 5) return embed(generator, model, wanted);
      const outcomes = await take(generator, model, wanted);
      const expected = alone(model, wanted.request);
      for (const outcome of outcomes) assert.deepEqual(outcome, expected, `seed ${seed}, case ${i}`);
    }),
  ]);
  assert.deepEqual(generator.load, { waiting: 0, running: 0 }, `seed ${seed}`);
  const { kv, draftedTokens, acceptedTokens, cachedTokens, preemptions } = generator.statistics;
  assert.deepEqual([kv.sequences, kv.free + kv.cached], [0, model.kvPages], `seed ${seed}`);
  return { drafted: draftedTokens, accepted: acceptedTokens, cached: cachedTokens, preempted: preemptions, moved };
}

describe('batching', () => {
  it(`gives each text the tokens and logits that it gets alone (${CASES} random mixes)`, async () => {
    const sums = { drafted: 0, accepted: 0, cached: 0, preempted: 0, moved: 0 };
    for (let seed = 1; seed <= CASES; seed++) {
      const counts = await runCases(seed);
      for (const name of ['drafted', 'accepted', 'cached', 'preempted', 'moved'] as const) sums[name] += counts[name];
    }
    // The mixes are worth something only if all of this took place in them.
    assert.ok(sums.drafted > sums.accepted && sums.accepted > 500, JSON.stringify(sums));
    assert.ok(sums.cached > 500 && sums.preempted > 20 && sums.moved > 100, JSON.stringify(sums));
  });

  it('goes on with who waited for the room of a text that left while it was guessed at', async () => {
    const options = { contextLength: 100, kvPages: 2, memory: 2 };
    const abort = new AbortController();
    let guesses = 0;
    const beforeStep = async () => {
      if (++guesses === 3) abort.abort();
    };
    const draft = new DraftModel(new HashModel({ ...options, beforeStep }), 0);
    const model = new HashModel(options);
    const generator = new Generator({ model, codec, log, draft, now: () => 0 });
    const request = { promptTokens: [5, 6], maxTokens: 90, sampling: GREEDY, stop: [], logprobs: null };
    const first = assert.rejects(async () => {
      for await (const _ of generator.generate(request, abort.signal));
    }, /cancelled/);
    const second: number[] = [];
    for await (const event of generator.generate({ ...request, promptTokens: [7, 8] })) {
      if (event.type === 'token') second.push(event.token);
    }
    assert.deepEqual(second, alone(model, { ...request, promptTokens: [7, 8] }).tokens);
    await first;
  });

  it('goes on without a draft model that fails', async () => {
    const options = { contextLength: 200, kvPages: 32, memory: 2 };
    let steps = 0;
    const beforeStep = async () => {
      if (++steps > 3) throw new StarlingError('numeric_overflow', 'a value is not finite');
    };
    const draft = new DraftModel(new HashModel({ ...options, beforeStep }), 0);
    const model = new HashModel(options);
    const request = { promptTokens: [5, 6], maxTokens: 60, sampling: GREEDY, stop: [], logprobs: null };
    const tokens: number[] = [];
    for await (const event of new Generator({ model, codec, log, draft }).generate(request)) {
      if (event.type === 'token') tokens.push(event.token);
    }
    assert.deepEqual(tokens, alone(model, request).tokens);
    assert.equal(steps, 4);
  });

  it('ends the one text whose values are out of range, and no other', async () => {
    const model = new HashModel({
      contextLength: 200,
      kvPages: 32,
      beforeStep: async (batch) => {
        if (batch.some(({ tokens }) => tokens.includes(13))) {
          throw new StarlingError('numeric_overflow', 'a value is not finite');
        }
      },
    });
    const generator = new Generator({ model, codec, log });
    const prompts = [5, 6, 7, 8].map((first) => [first, 1, 2]);
    const expected = prompts.map((promptTokens) => {
      const request = { promptTokens, maxTokens: 20, sampling: GREEDY, stop: [], logprobs: null };
      return { request, outcome: alone(model, request) };
    });
    await Promise.all(
      expected.map(async ({ request, outcome }) => {
        const tokens: number[] = [];
        let failure: unknown = null;
        try {
          for await (const event of generator.generate(request)) if (event.type === 'token') tokens.push(event.token);
        } catch (thrown) {
          failure = thrown;
        }
        const bad = outcome.tokens.slice(0, 19).indexOf(13);
        assert.deepEqual(tokens, bad < 0 ? outcome.tokens : outcome.tokens.slice(0, bad + 1));
        assert.equal(failure instanceof StarlingError ? failure.code : null, bad < 0 ? null : 'numeric_overflow');
      }),
    );
    assert.ok(expected.some(({ outcome }) => outcome.tokens.slice(0, 19).includes(13)));
  });
});
