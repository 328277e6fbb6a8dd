import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GenerationRequest } from '../../../../coordinator/generation/answer.ts';
import type { EndEvent, GenerationEvent } from '../../../../coordinator/generation/events.ts';
import { Generator } from '../../../../coordinator/generation/generator.ts';
import { logprobs } from '../../../../coordinator/generation/log-probabilities.ts';
import { GREEDY } from '../../../../coordinator/generation/sampler.ts';
import type { LanguageModel } from '../../../../coordinator/language-model.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { createLogger } from '../../../../daemon/log.ts';
import { byteCodec, byteToken, FakeModel } from '../../../fixtures/fake-text-model.ts';
import { HashModel } from '../../../fixtures/hash-model.ts';

const log = createLogger('silent', 'test');

const REQUEST: GenerationRequest = {
  promptTokens: [0, byteToken(65)],
  maxTokens: null,
  sampling: GREEDY,
  stop: [],
  logprobs: null,
};

function generatorFor(model: LanguageModel, now?: () => number): Generator {
  return new Generator({ model, codec: byteCodec, log, ...(now === undefined ? {} : { now }) });
}

async function collect(
  model: LanguageModel,
  request: Partial<GenerationRequest> = {},
): Promise<{ text: string; events: GenerationEvent[]; end: EndEvent }> {
  const events: GenerationEvent[] = [];
  const generator = generatorFor(model);
  for await (const event of generator.generate({ ...REQUEST, ...request })) events.push(event);
  assert.deepEqual([generator.load, generator.statistics.kv.sequences], [{ waiting: 0, running: 0 }, 0]);
  const end = events.at(-1);
  assert.equal(end?.type, 'end');
  return { text: events.map(({ text }) => text).join(''), events, end: end as EndEvent };
}

const hasCode =
  (code: string, pattern = /./) =>
  (error: unknown) =>
    error instanceof StarlingError && error.code === code && pattern.test(error.message);

describe('Generator', () => {
  it('goes on with a text whose model has moved meanwhile, and with one whose model could not', async () => {
    const request = {
      ...REQUEST,
      promptTokens: [5, 6],
      maxTokens: 40,
      ends: { ignored: true, notBefore: 0, tokens: new Set<number>() },
    };
    const model = new HashModel({ contextLength: 200, kvPages: 8, vocabSize: 300 });
    const tokensOf = async (generator: Generator, move: () => Promise<void>): Promise<number[]> => {
      const tokens: number[] = [];
      let moving: Promise<void> | undefined;
      for await (const event of generator.generate(request)) {
        if (event.type === 'token') tokens.push(event.token);
        if (tokens.length !== 5) continue;
        moving = generator.rebuild(move);
        moving.catch(() => {});
      }
      await moving;
      return tokens;
    };
    const still = await tokensOf(generatorFor(model), async () => {});
    const generator = generatorFor(model);
    const moved = await tokensOf(generator, async () => {
      assert.deepEqual([generator.statistics.kv.sequences, generator.load.running], [0, 1]);
      model.move(5);
    });
    assert.deepEqual(moved, still);
    assert.equal(still.length, 40);
    assert.equal(generator.statistics.kv.pages, 5);
    const failing = tokensOf(generator, async () => {
      model.move(6);
      throw new StarlingError('device_lost', 'gone');
    });
    await assert.rejects(failing, hasCode('device_lost'));
    assert.equal(generator.statistics.kv.pages, 6);
  });

  it('M8: ends only where the request lets it', async () => {
    const usual = { ignored: false, notBefore: 0, tokens: new Set<number>() };
    const model = new FakeModel({ reply: 'Hi!' });
    const ignoring = await collect(model, { ends: { ...usual, ignored: true }, maxTokens: 9 });
    assert.deepEqual([ignoring.end.finishReason, ignoring.end.usage.completionTokens], ['length', 9]);
    assert.ok(ignoring.text.startsWith('Hi!'));
    const later = await collect(model, { ends: { ...usual, notBefore: 5 }, maxTokens: 20 });
    assert.ok(later.end.usage.completionTokens >= 5);
    const neither = await collect(model, { ends: usual });
    assert.equal(neither.text, 'Hi!');
    const tokens = new Set([byteToken(0x21)]);
    const stopped = await collect(model, { ends: { ...usual, tokens } });
    assert.deepEqual([stopped.text, stopped.end.finishReason], ['Hi', 'stop']);
    const late = await collect(model, { ends: { ...usual, tokens, notBefore: 3 }, maxTokens: 3 });
    assert.notEqual(late.text, 'Hi!', 'a token that may not end the text yet is not drawn');
    const text = await collect(new FakeModel({ reply: 'abcabc' }), { stop: ['b'], ends: { ...usual, notBefore: 3 } });
    assert.equal(text.text, 'abca');
  });

  it('tells which stop text ended it, also one that only what was held back completes', async () => {
    const model = new FakeModel({ reply: 'a€' });
    const stopped = await collect(model, { stop: ['x', '€'] });
    assert.deepEqual([stopped.text, stopped.end.finishReason, stopped.end.stopText], ['a', 'stop', '€']);
    const held = await collect(model, { stop: ['\ufffd'], maxTokens: 2 });
    assert.deepEqual([held.text, held.end.finishReason, held.end.stopText], ['a', 'stop', '\ufffd']);
    const cut = await collect(model, { stop: ['x'], maxTokens: 2 });
    assert.deepEqual([cut.text, cut.end.finishReason, cut.end.stopText], ['a\ufffd', 'length', undefined]);
  });

  it('M8: makes repeated tokens less likely, as far back as is asked', async () => {
    const model = new FakeModel({ reply: 'aaab', certainty: 1 });
    // Next in line are z, which is in the prompt, and y.
    const logitBias = new Map([
      [byteToken(0x7a), 0.5],
      [byteToken(0x79), 0.1],
    ]);
    const drawn = async (reach: number): Promise<string> => {
      const sampling = { ...GREEDY, repetition: { factor: 1000, reach }, logitBias };
      return (await collect(model, { sampling, maxTokens: 2, promptTokens: [0, byteToken(0x7a)] })).text;
    };
    assert.deepEqual(
      [await drawn(0), await drawn(1), await drawn(2), await drawn(Number.POSITIVE_INFINITY)],
      ['aa', 'az', 'ay', 'ay'],
    );
  });

  it('generates until the end-of-generation token', async () => {
    const model = new FakeModel({ reply: 'Hi!' });
    const { text, events, end } = await collect(model);
    assert.equal(text, 'Hi!');
    assert.equal(end.finishReason, 'stop');
    assert.deepEqual(end.usage, { promptTokens: 2, cachedTokens: 0, completionTokens: 3, reasoningTokens: 0 });
    assert.deepEqual(
      events.map((event) => (event.type === 'token' ? event.token : 'end')),
      [byteToken(72), byteToken(105), byteToken(33), 'end'],
    );
    assert.equal(model.steps, 4);
  });

  it('stops at the token limit without computing further', async () => {
    const model = new FakeModel({ reply: 'Hello' });
    const { text, end } = await collect(model, { maxTokens: 2 });
    assert.equal(text, 'He');
    assert.equal(end.finishReason, 'length');
    assert.equal(model.steps, 2);
    assert.equal((await collect(model, { maxTokens: 0 })).end.usage.completionTokens, 0);
  });

  it('stops at the end of the context, after the token that fits no more', async () => {
    const model = new FakeModel({ reply: 'Hello', contextLength: 4 });
    const { text, end } = await collect(model);
    // Two prompt positions and two of "He"; the third token is known but cannot be appended.
    assert.equal(text, 'Hel');
    assert.equal(end.finishReason, 'length');
    const full = new FakeModel({ reply: 'Hello', contextLength: 2 });
    assert.equal((await collect(full)).text, 'H');
  });

  it('cuts at stop strings, across tokens, and gives back what was no stop', async () => {
    const cut = await collect(new FakeModel({ reply: 'one\nUser: two' }), { stop: ['\nUser:'] });
    assert.equal(cut.text, 'one');
    assert.equal(cut.end.finishReason, 'stop');
    assert.equal(cut.end.usage.completionTokens, 9);
    const uncut = await collect(new FakeModel({ reply: 'one\nUse' }), { stop: ['\nUser:'] });
    assert.equal(uncut.text, 'one\nUse');
    assert.equal(uncut.end.text, '\nUse');
    assert.equal((await collect(new FakeModel({ reply: 'ab' }), { stop: ['abc'], maxTokens: 2 })).end.text, 'ab');
  });

  it('emits whole characters only', async () => {
    const { text, events } = await collect(new FakeModel({ reply: 'a€😀' }));
    assert.equal(text, 'a€😀');
    assert.deepEqual(
      events.map((event) => event.text),
      ['a', '', '', '€', '', '', '', '😀', ''],
    );
    const broken = await collect(new FakeModel({ reply: 'a€' }), { maxTokens: 2 });
    assert.equal(broken.text, 'a\ufffd');
  });

  it('adds log probabilities of the prompt when asked, with the first event, and takes over nothing for them', async () => {
    const model = new HashModel({ contextLength: 300, kvPages: 10 });
    const promptTokens = Array.from({ length: 150 }, (_, i) => (i * 7) % 23);
    const expected = promptTokens
      .slice(1)
      .map((token, i) => logprobs(model.logits(promptTokens.slice(0, i + 1)), token, 2));
    const generator = generatorFor(model);
    const asked = { ...REQUEST, promptTokens, promptLogProbs: 2 };
    for (const maxTokens of [3, 0, 3]) {
      const events: GenerationEvent[] = [];
      for await (const event of generator.generate({ ...asked, maxTokens })) events.push(event);
      const [first, ...rest] = events;
      assert.deepEqual(first?.promptLogProbs, expected);
      assert.ok(rest.every((event) => !('promptLogProbs' in event)));
      const end = events.at(-1) as EndEvent;
      assert.deepEqual([end.usage.cachedTokens, end.usage.completionTokens], [0, events.length - 1]);
      const usual: GenerationEvent[] = [];
      for await (const event of generator.generate({ ...asked, maxTokens, promptLogProbs: null })) usual.push(event);
      assert.deepEqual(
        usual.map((event) => event.type === 'token' && event.token),
        events.map((event) => event.type === 'token' && event.token),
      );
    }
    assert.equal(generator.statistics.kv.sequences, 0);
  });

  it('adds log probabilities when asked', async () => {
    const { events } = await collect(new FakeModel({ reply: 'B' }), { logprobs: 2 });
    const [first] = events;
    assert.ok(first?.type === 'token' && first.logprobs !== undefined);
    assert.equal(first.logprobs.token, byteToken(66));
    assert.equal(first.logprobs.top.length, 2);
    assert.ok(first.logprobs.logprob <= 0 && first.logprobs.logprob > -1e-6);
    const without = (await collect(new FakeModel({ reply: 'B' }))).events[0]!;
    assert.equal('logprobs' in without, false);
  });

  it('draws the same for the same seed, keyed by the place in the sequence', async () => {
    const random = { ...GREEDY, temperature: 1, seed: 5 };
    const options = { sampling: random, maxTokens: 20, logprobs: null };
    const tokens = async (request: Partial<GenerationRequest>): Promise<unknown[]> =>
      (await collect(new FakeModel({ certainty: 0 }), request)).events.map(
        (event) => event.type === 'token' && event.token,
      );
    const first = await tokens(options);
    assert.deepEqual(await tokens(options), first);
    assert.notDeepEqual(await tokens({ ...options, sampling: { ...random, seed: 6 } }), first);
    // One more prompt token: the flat model then draws what it drew one place further on.
    const shifted = await tokens({ ...options, promptTokens: [...REQUEST.promptTokens, byteToken(66)] });
    assert.deepEqual(shifted.slice(0, 10), first.slice(1, 11));
  });

  it('penalises tokens by how often they were generated', async () => {
    const repeated = new FakeModel({ reply: 'aaaa', certainty: 1 });
    const { text } = await collect(repeated, { sampling: { ...GREEDY, presencePenalty: 2 }, maxTokens: 2 });
    assert.equal(text[0], 'a');
    assert.notEqual(text[1], 'a');
  });

  it('shows the logits of each step', async () => {
    const seen: [number, number][] = [];
    await collect(new FakeModel({ reply: 'ab' }), {
      onLogits: (logits, step) => seen.push([step, logits.indexOf(30)]),
    });
    assert.deepEqual(seen, [
      [0, byteToken(97)],
      [1, byteToken(98)],
      [2, 1],
    ]);
  });

  it('refuses empty prompts and prompts beyond the context, with the numbers', async () => {
    const model = new FakeModel({ contextLength: 8 });
    await assert.rejects(
      collect(model, { promptTokens: Array.from({ length: 9 }, () => 5) }),
      hasCode('context_length_exceeded', /9 tokens.*holds 8/),
    );
    await assert.rejects(collect(model, { promptTokens: [] }), hasCode('context_length_exceeded', /0 tokens/));
    assert.equal(model.steps, 0);
  });

  it('releases its sequence when the consumer leaves early', async () => {
    const model = new FakeModel({ reply: 'x'.repeat(2000) });
    const generator = generatorFor(model);
    for await (const event of generator.generate(REQUEST)) {
      assert.equal(generator.statistics.kv.sequences, 1);
      if (event.type === 'token') break;
    }
    assert.deepEqual([generator.load, generator.statistics.kv.sequences], [{ waiting: 0, running: 0 }, 0]);
    assert.ok(model.steps < 100, `${model.steps} steps`);
  });

  it('ends with `cancelled` within the step in which its signal aborts', async () => {
    const abort = new AbortController();
    const model = new FakeModel({
      reply: 'Hello, world!',
      beforeStep: (step) => {
        if (step === 3) abort.abort();
      },
    });
    const generator = generatorFor(model);
    await assert.rejects(async () => {
      for await (const _ of generator.generate(REQUEST, abort.signal));
    }, hasCode('cancelled'));
    assert.deepEqual([generator.statistics.kv.sequences, model.steps], [0, 4]);
    await assert.rejects(generator.generate(REQUEST, abort.signal).next(), hasCode('cancelled'));
    assert.equal(model.steps, 4);
  });

  it('ends with the reason of the signal where that is one of our errors', async () => {
    const abort = new AbortController();
    abort.abort(new StarlingError('device_lost', 'the desk computer is gone'));
    await assert.rejects(generatorFor(new FakeModel()).generate(REQUEST, abort.signal).next(), hasCode('device_lost'));
  });

  it('passes on what the model throws, releases, and works again afterwards', async () => {
    let isBroken = true;
    const model = new FakeModel({
      reply: 'ok',
      beforeStep: (step) => {
        if (isBroken && step === 1) throw new StarlingError('device_lost', 'the laptop is gone');
      },
    });
    await assert.rejects(collect(model), hasCode('device_lost'));
    isBroken = false;
    assert.equal((await collect(model)).text, 'ok');
  });

  it('measures waiting, prefill and decoding by its clock', async () => {
    let clock = 0;
    const advance = (step: number): void => {
      clock += step === 0 ? 100 : 10;
    };
    const model = new FakeModel({ reply: 'ab', beforeStep: advance });
    const events: GenerationEvent[] = [];
    const generator = generatorFor(model, () => clock);
    for await (const event of generator.generate(REQUEST)) events.push(event);
    const end = events.at(-1) as EndEvent;
    assert.deepEqual(end.timings, { queueMs: 0, prefillMs: 100, decodeMs: 20 });
  });
});
