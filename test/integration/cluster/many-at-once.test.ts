import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { Cluster } from '../../../coordinator/cluster/cluster.ts';
import { DraftModel } from '../../../coordinator/drafts/draft-model.ts';
import type { GenerationRequest } from '../../../coordinator/generation/answer.ts';
import { Generator } from '../../../coordinator/generation/generator.ts';
import { GREEDY, sample } from '../../../coordinator/generation/sampler.ts';
import type { LanguageModel } from '../../../coordinator/language-model.ts';
import { openModel } from '../../../coordinator/model/open-model.ts';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { createLogger } from '../../../daemon/log.ts';
import { processMemory } from '../../../daemon/process-memory.ts';
import { TileStore } from '../../../daemon/store/tile-store.ts';
import { bestBackend } from '../../../kernels/create-kernels.ts';
import { KV_FORMAT_NAMES, type KvFormat } from '../../../kernels/formats.ts';
import { letterCodec } from '../../../scripts/bench-users-work.ts';
import { LoneSequence } from '../../../scripts/lone-sequence.ts';
import { MODEL_SHAPES } from '../../../scripts/model-shapes.ts';
import { writeSyntheticModel } from '../../../scripts/synthetic-model.ts';
import { Random } from '../../fixtures/random.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const MIXES = 12;
const log = createLogger('silent', 'test');

interface Outcome {
  readonly tokens: readonly number[];
  readonly logits: string;
}

/** A text computed alone, a row at a time after the prompt, without any of what shares steps. */
async function alone(model: LanguageModel, { promptTokens, maxTokens, sampling }: GenerationRequest): Promise<Outcome> {
  const sequence = new LoneSequence(model);
  const hash = createHash('sha256');
  const tokens: number[] = [];
  let next: readonly number[] = promptTokens;
  while (tokens.length < (maxTokens ?? 0)) {
    const logits = await sequence.append(next);
    hash.update(logits);
    const token = sample(logits, sampling, promptTokens.length + tokens.length);
    tokens.push(token);
    next = [token];
  }
  return { tokens, logits: hash.digest('hex') };
}

async function generated(generator: Generator, request: GenerationRequest, signal?: AbortSignal): Promise<Outcome> {
  const hash = createHash('sha256');
  const tokens: number[] = [];
  const onLogits = (logits: Float32Array): void => void hash.update(logits);
  for await (const event of generator.generate({ ...request, onLogits }, signal)) {
    if (event.type === 'token') tokens.push(event.token);
  }
  return { tokens, logits: hash.digest('hex') };
}

async function startHere(t: TestContext, path: string, kv: KvFormat, threads: number): Promise<Cluster> {
  const model = await openModel(path);
  t.after(() => model.gguf.close());
  const cluster = await Cluster.start({
    model,
    ranks: [],
    ownShare: true,
    store: new TileStore(temporaryFolder(t)),
    backend: bestBackend(),
    threads,
    memory: processMemory(undefined),
    contextLength: 256,
    kv,
    log,
  });
  t.after(() => cluster.stop());
  return cluster;
}

for (const kv of KV_FORMAT_NAMES) {
  test(`real rows, cached in ${kv}: texts in a mix have the bits that they have alone`, async (t) => {
    const path = join(temporaryFolder(t), 'tiny.gguf');
    await writeSyntheticModel({ shape: 'tiny', quant: 'Q4_0', out: path });
    const model = await startHere(t, path, kv, 2);
    const draft = new DraftModel(await startHere(t, path, kv, 1), 0);
    let [accepted, cached] = [0, 0];
    for (let seed = 1; seed <= MIXES; seed++) {
      const random = new Random(seed);
      const tokens = (count: number): number[] => Array.from({ length: count }, () => random.below(model.vocabSize));
      const beginning = tokens(150);
      const requests = Array.from({ length: random.between(2, 7) }, (): GenerationRequest => {
        const promptTokens = [...beginning.slice(0, random.between(0, 150)), ...tokens(random.between(1, 30))];
        // Few tokens to draw from make texts that repeat themselves.
        const logitBias = new Map(random.chance(0.5) ? tokens(3).map((id) => [id, 30]) : []);
        const sampling = { ...GREEDY, temperature: random.pick([0, 1]), seed, logitBias };
        return { promptTokens, maxTokens: random.between(1, 40), sampling, stop: [], logprobs: null };
      });
      const expected: Outcome[] = [];
      for (const request of requests) expected.push(await alone(model, request));
      const generator = new Generator({
        model,
        codec: letterCodec,
        log,
        ...(seed % 3 === 0 ? { draft } : {}),
      });
      const abort = new AbortController();
      const leaving = generated(generator, { ...requests[0]!, maxTokens: 60 }, abort.signal).catch(() => null);
      const leaves = sleep(random.below(20)).then(() => abort.abort());
      const outcomes = await Promise.all(
        requests.map(async (request, i) => {
          await sleep(random.below(10) * i);
          return generated(generator, request);
        }),
      );
      await Promise.all([leaves, leaving]);
      assert.deepEqual(outcomes, expected, `seed ${seed}`);
      accepted += generator.statistics.acceptedTokens;
      cached += generator.statistics.cachedTokens;
      assert.equal(generator.statistics.kv.sequences, 0);
    }
    assert.ok(accepted > 100 && cached > 100, `${accepted} accepted, ${cached} cached`);
  });
}

test('a draft model changes no bit, and has the vocabulary of the model', async (t) => {
  const folder = temporaryFolder(t);
  const [model, draft, other] = ['model', 'draft', 'other'].map((name) => join(folder, `${name}.gguf`)) as string[];
  const { tiny } = MODEL_SHAPES;
  const large = { ...tiny, vocabSize: 4096, dim: 512, heads: 8, kvHeads: 2, headDim: 64, ffDim: 1408, layers: 16 };
  await writeSyntheticModel({ shape: large, quant: 'Q4_0', out: model! });
  await writeSyntheticModel({ shape: { ...tiny, vocabSize: 4096, layers: 1 }, quant: 'Q4_0', out: draft! });
  await writeSyntheticModel({ shape: 'tiny', quant: 'Q4_0', out: other! });
  const sandbox = new Sandbox(t);
  const home = { home: sandbox.home('one') };
  const run = ['run', model!, 'Once upon a time', '--raw', '--json', '--max-tokens', '30'];
  type Run = { tokens: number[]; logits_sha256: string; drafted_tokens: number };
  const texts = [[], ...['7', '8', '9', '10', '11'].map((seed) => ['--temperature', '0.9', '--seed', seed])];
  let guessed = false;
  for (const [i, args] of texts.entries()) {
    const plain = await sandbox.runJson<Run>([...run, ...args], home);
    const drafted = await sandbox.runJson<Run>([...run, ...args, '--draft', draft!], home);
    assert.deepEqual([drafted.tokens, drafted.logits_sha256], [plain.tokens, plain.logits_sha256]);
    guessed ||= drafted.drafted_tokens > plain.drafted_tokens;
    // Drafts are made where they are measured to pay, which on a busy machine they may not for one text: a few have
    // their chance.
    if (guessed && i > 0) break;
  }
  assert.ok(guessed, 'the draft model guessed more than was found in the texts');
  const refused = await sandbox.run([...run, '--draft', other!], home);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /its vocabulary is not that of the model .* \[invalid_argument\]/);
});

test('on three devices: different chats at the same time, and a second turn that computes what is new', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const peers = [];
  for (const name of ['one', 'two']) peers.push(await sandbox.daemon(name, await sandbox.homeWithKey(name, key)));
  const served = await sandbox.serve(await sandbox.homeWithKey('own', key), 'tiny-chat', peers, ['--context', '256']);
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const ask = (messages: OpenAI.ChatCompletionMessageParam[]) =>
    client.chat.completions.create({ model: 'starling', messages, temperature: 0.8, seed: 3, max_tokens: 24 });
  const questions = ['a dog', 'a cat', 'the sea', 'a red ball', 'my mother', 'rain'].map((what) => [
    { role: 'user' as const, content: `Tell me a story about ${what}.` },
  ]);
  const alone: (string | null | undefined)[] = [];
  for (const messages of questions) alone.push((await ask(messages)).choices[0]?.message.content);
  const together = await Promise.all(questions.map(ask));
  assert.deepEqual(
    together.map(({ choices }) => choices[0]?.message.content),
    alone,
  );

  const [first] = questions as [OpenAI.ChatCompletionMessageParam[]];
  const turn = [
    ...first,
    { role: 'assistant' as const, content: alone[0]! },
    { role: 'user' as const, content: 'Go on.' },
  ];
  const { usage } = await ask(turn);
  const cached = usage?.prompt_tokens_details?.cached_tokens ?? 0;
  const known = together[0]!.usage!;
  // The last token that was drawn was not computed, and the template may put the answer's end in other tokens.
  assert.ok(cached >= known.prompt_tokens + known.completion_tokens - 4, `${cached} of ${JSON.stringify(usage)}`);
});
