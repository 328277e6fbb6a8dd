import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutputFormat } from '../../../../coordinator/constraint/output-format.ts';
import { DraftModel } from '../../../../coordinator/drafts/draft-model.ts';
import { Answer, type GenerationRequest } from '../../../../coordinator/generation/answer.ts';
import type { Reasoning } from '../../../../coordinator/generation/answer-parts.ts';
import { Generator, type GeneratorOptions } from '../../../../coordinator/generation/generator.ts';
import { GREEDY } from '../../../../coordinator/generation/sampler.ts';
import type { ReasoningForm } from '../../../../coordinator/model/reasoning-marks.ts';
import { createLogger } from '../../../../daemon/log.ts';
import { HashModel } from '../../../fixtures/hash-model.ts';
import { END, JSON_PIECES, pieceCodec } from '../../../fixtures/piece-codec.ts';
import { recite, tokenOf as tokenIn } from '../../../fixtures/recite.ts';
import { validator } from '../../../fixtures/schema-suite.ts';
import { constraintsOver } from '../../../fixtures/write-constrained.ts';

const log = createLogger('silent', 'test');
const MARKS = ['<think>', '</think>'];
const codec = pieceCodec([...JSON_PIECES, ...MARKS]);
const constraintOf = await constraintsOver(codec, codec.vocabSize);
const tokenOf = (text: string): number => tokenIn(codec, text);

const SCHEMA = {
  type: 'object',
  properties: {
    temperature: { type: 'integer', minimum: -50, maximum: 50 },
    sky: { enum: ['clear', 'cloudy'] },
    note: { type: 'string', maxLength: 20 },
  },
  required: ['temperature', 'sky'],
  additionalProperties: false,
};
const FORMAT: OutputFormat = { kind: 'json-schema', schema: SCHEMA };
const SAMPLED = { ...GREEDY, temperature: 1, topP: 0.95 };

const request = (fields: Partial<GenerationRequest> = {}): GenerationRequest => ({
  promptTokens: [5, 6, 7],
  maxTokens: 300,
  sampling: SAMPLED,
  stop: [],
  logprobs: null,
  format: FORMAT,
  ...fields,
});

const modelOf = (memory = Number.POSITIVE_INFINITY): HashModel =>
  new HashModel({ contextLength: 400, kvPages: 80, vocabSize: codec.vocabSize, memory });

interface Written {
  readonly text: string;
  readonly reasoning: string;
  readonly tokens: readonly number[];
  readonly finishReason: string;
}

async function write(generator: Generator, wanted: GenerationRequest): Promise<Written> {
  let [text, reasoning, finishReason] = ['', '', ''];
  const tokens: number[] = [];
  for await (const event of generator.generate(wanted)) {
    text += event.text;
    reasoning += event.reasoning;
    if (event.type === 'token') tokens.push(event.token);
    else {
      finishReason = event.finishReason;
      assert.equal(event.usage.completionTokens, tokens.length);
    }
  }
  return { text, reasoning, tokens, finishReason };
}

const generatorOf = (model: HashModel, options: Partial<GeneratorOptions> = {}): Generator =>
  new Generator({ model, codec, log, ...options });

describe('an answer with a format', () => {
  it('is valid for every seed, in fewer passes than it has tokens', async () => {
    const isValid = validator(SCHEMA);
    const model = modelOf();
    const generator = generatorOf(model);
    let tokens = 0;
    for (let seed = 0; seed < 25; seed++) {
      const written = await write(generator, request({ sampling: { ...SAMPLED, seed } }));
      assert.equal(written.finishReason, 'stop');
      assert.ok(isValid(JSON.parse(written.text)), written.text);
      tokens += written.tokens.length;
    }
    assert.ok(model.steps < 0.6 * tokens, `${model.steps} steps for ${tokens} tokens`);
  });

  it('has the same tokens whatever is computed beside it, with drafts, and where every row is looked at', async () => {
    const seeds = Array.from({ length: 12 }, (_, seed) => seed);
    const one = (seed: number, fields: Partial<GenerationRequest> = {}): GenerationRequest =>
      request({ sampling: { ...SAMPLED, seed, temperature: 0.4 }, ...fields });
    const alone = [];
    for (const seed of seeds)
      alone.push((await write(generatorOf(modelOf(3), { promptLookup: false }), one(seed))).tokens);
    let clock = 0;
    const draft = new DraftModel(modelOf(3), 0.01);
    const generator = generatorOf(modelOf(3), { draft, now: () => (clock += 5) });
    const together = await Promise.all([
      ...seeds.map((seed) => write(generator, one(seed))),
      // Others, with and without a format.
      write(generator, request({ format: { kind: 'json-object' }, maxTokens: 60 })),
      write(generator, { promptTokens: [9], maxTokens: 60, sampling: SAMPLED, stop: [], logprobs: null }),
    ]);
    assert.deepEqual(
      together.slice(0, seeds.length).map(({ tokens }) => tokens),
      alone,
    );
    const { draftedTokens, acceptedTokens } = generator.statistics;
    assert.ok(acceptedTokens > 5 && draftedTokens >= acceptedTokens, `${acceptedTokens} of ${draftedTokens}`);
    const seen = await Promise.all(seeds.map((seed) => write(generator, one(seed, { logprobs: 1 }))));
    assert.deepEqual(
      seen.map(({ tokens }) => tokens),
      alone,
    );
  });

  it('leaves an answer without a format as it was', async () => {
    const plain = { promptTokens: [5, 6, 7], maxTokens: 40, sampling: SAMPLED, stop: [], logprobs: null };
    const alone = await write(generatorOf(modelOf()), plain);
    const generator = generatorOf(modelOf());
    const [beside] = await Promise.all([write(generator, plain), write(generator, request())]);
    assert.deepEqual(beside, alone);
  });

  it('ends where it is complete: by an end token, or without one where nothing may follow', async () => {
    const generator = generatorOf(modelOf());
    const choice = await write(generator, request({ format: { kind: 'choice', options: ['true', 'clear'] } }));
    assert.ok(['true', 'clear'].includes(choice.text));
    assert.equal(choice.finishReason, 'stop');
    const biased = { ...SAMPLED, logitBias: new Map([[END, 100]]) };
    const early = await write(generator, request({ format: { kind: 'regex', pattern: 'ab*' }, sampling: biased }));
    assert.deepEqual([early.text, early.finishReason], ['a', 'stop']);
    const ends = { ignored: true, notBefore: 0, tokens: new Set<number>() };
    const long = await write(
      generator,
      request({ format: { kind: 'regex', pattern: 'ab*' }, sampling: biased, ends, maxTokens: 9 }),
    );
    assert.deepEqual([long.text, long.finishReason], ['abbbbbbbb', 'length']);
  });

  it('takes a token that is to end it for text, until it is complete', async () => {
    const ends = { ignored: false, notBefore: 0, tokens: new Set([tokenOf('foo')]) };
    const written = await write(
      generatorOf(modelOf()),
      request({ format: { kind: 'regex', pattern: 'afoob(foo)+' }, ends }),
    );
    assert.ok(
      ['afoobfoo', 'afoobfoofoo'].some((start) => written.text.startsWith(start)),
      written.text,
    );
    assert.equal(written.finishReason, 'stop');
  });

  it('ends early after all where only the tokens that would end it can go on', async () => {
    const ends = { ignored: false, notBefore: 5, tokens: new Set([tokenOf('b')]) };
    const written = await write(generatorOf(modelOf()), request({ format: { kind: 'regex', pattern: 'ab*' }, ends }));
    assert.deepEqual([written.text, written.finishReason], ['a', 'stop']);
  });

  it('may be long, and all of it certain', async () => {
    const value = 'y'.repeat(390);
    const model = modelOf();
    const written = await write(
      generatorOf(model),
      request({ format: { kind: 'choice', options: [value] }, maxTokens: null }),
    );
    assert.equal(written.text, value);
    assert.ok(model.steps < 15, `${model.steps} steps`);
    const constraint = constraintOf({
      kind: 'choice',
      options: ['z'.repeat(40_000)],
    });
    let [at, length] = [constraint, 0];
    for (let token = at.forced(); token !== null; token = at.forced(), length++) at = at.accept(token)!;
    assert.ok(at.isOver && length === 40_000);
  });

  it('ends by itself where its format is too ambiguous, and goes on being drafted for others', async () => {
    const draft = new DraftModel(modelOf(3), 0.01);
    // Steps that all take as long, so that drafts pay on a busy machine too.
    const model = modelOf(3);
    const generator = generatorOf(model, { draft, promptLookup: false, now: () => 10 * model.steps });
    const grammar = 'root ::= "a" root "b" | "a" root "c" | "a"';
    const sampling = { ...GREEDY, logitBias: new Map([[tokenOf('a'), 100]]) };
    const bad = write(generator, request({ format: { kind: 'gbnf', grammar }, sampling }));
    await assert.rejects(bad, { code: 'invalid_request' });
    const drafted = generator.statistics.draftedTokens;
    const plain = { promptTokens: [5, 6], maxTokens: 60, sampling: GREEDY, stop: [], logprobs: null };
    await write(generator, plain);
    assert.ok(generator.statistics.draftedTokens > drafted);
  });

  it('ends within forced tokens at a stop text, and at the most tokens', async () => {
    const generator = generatorOf(modelOf());
    const stopped = await write(generator, request({ stop: ['temp'] }));
    assert.deepEqual([stopped.text, stopped.finishReason], ['{"', 'stop']);
    const short = await write(generator, request({ maxTokens: 4 }));
    assert.deepEqual([short.tokens.length, short.finishReason], [4, 'length']);
  });

  it('is refused where the format cannot be used', async () => {
    const generator = generatorOf(modelOf());
    await assert.rejects(
      generator.submit([request({ format: { kind: 'json-schema', schema: { not: true } } })], {
        user: '',
        priority: 'batch',
        timeoutMs: null,
      }),
      {
        code: 'unsupported_parameter',
      },
    );
    assert.deepEqual(generator.load, { waiting: 0, running: 0 });
  });
});

describe('a format and reasoning', () => {
  const enclosed: ReasoningForm = {
    kind: 'enclosed',
    open: '<think>',
    close: '</think>',
    answer: null,
    tokens: new Map([
      [tokenOf('<think>'), '<think>'],
      [tokenOf('</think>'), '</think>'],
    ]),
  };
  /** What comes of a wish to write these tokens. */
  function written(reasoning: Reasoning, liked: readonly string[]): string {
    const constraint = constraintOf({ kind: 'regex', pattern: 'foo|true' });
    const answer = new Answer(request({ reasoning, sampling: GREEDY, format: FORMAT }), codec, 400, constraint);
    return recite(answer, codec, liked, Array(20).fill('foo'));
  }

  it('go together: the format begins when the reasoning is over', () => {
    const opened = { form: enclosed, opened: true };
    assert.equal(written(opened, [' the', '12', '</think>', 'null', '12']), ' the12</think>foo');
    // No end before an answer.
    assert.notEqual(written(opened, [' the', '', '</think>']).slice(0, 5), ' the</');
    const byText = { form: { ...enclosed, tokens: new Map() }, opened: true };
    assert.equal(written(byText, [' the', '<', '/', 't', 'h', 'i', 'n', 'k', '>', 'null']), ' the</think>foo');
  });

  it('go together where the reasoning stays in the text', async () => {
    const generator = generatorOf(modelOf());
    const reasoning = { form: enclosed, opened: true };
    const logitBias = new Map([[tokenOf('</think>'), 3]]);
    const fields = {
      reasoning,
      format: { kind: 'choice', options: ['true'] } as const,
      sampling: { ...SAMPLED, logitBias },
    };
    const apart = await write(generator, request(fields));
    const kept = await write(generator, request({ ...fields, keepsReasoning: true }));
    assert.deepEqual(kept.tokens, apart.tokens);
    assert.deepEqual([apart.text, kept.reasoning], ['true', '']);
    assert.ok(kept.text.endsWith('</think>true') && kept.text.length > apart.reasoning.length, kept.text);
  });

  it('go together where the model may open the reasoning itself', () => {
    const closed = { form: enclosed, opened: false };
    assert.equal(written(closed, ['<think>', '12', '</think>', 'foo']), '<think>12</think>foo');
    assert.equal(written(closed, ['foo']), 'foo');
    assert.equal(written(closed, ['</think>', 'true']), 'foo');
  });
});
