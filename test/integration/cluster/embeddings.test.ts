import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { EmbeddingOptions } from '../../../coordinator/generation/embedding.ts';
import { NOBODY_IN_PARTICULAR } from '../../../coordinator/generation/events.ts';
import { logprobs } from '../../../coordinator/generation/log-probabilities.ts';
import { GREEDY } from '../../../coordinator/generation/sampler.ts';
import { encodePrompt } from '../../../coordinator/generation/text-codec.ts';
import { TextService } from '../../../coordinator/generation/text-service.ts';
import type { LanguageModel } from '../../../coordinator/language-model.ts';
import { openTextTools } from '../../../coordinator/text-model.ts';
import { pagesFor } from '../../../daemon/engine/engine-spec.ts';
import { createLogger } from '../../../daemon/log.ts';
import { expectedEmbedding } from '../../fixtures/expected-embedding.ts';
import { plainTemplate } from '../../fixtures/fake-text-model.ts';
import { WindowCluster, type WindowClusterOptions } from '../../fixtures/window-cluster.ts';

const log = createLogger('silent', 'test');
const TEXTS = [
  'A dog.',
  'Tell me a story about a dog.',
  'What does a cat eat?',
  'Once upon a time there was a bird, and it sang. '.repeat(9),
];

interface Served {
  readonly cluster: WindowCluster;
  readonly service: TextService;
}

async function serve(t: TestContext, options: Omit<WindowClusterOptions, 'log'>): Promise<Served> {
  const cluster = await WindowCluster.start(t, { ...options, log });
  const { codec, embedding } = openTextTools(cluster.model);
  const model = cluster.cluster;
  const service = new TextService({
    modelId: 'tiny',
    created: 1,
    model,
    codec,
    template: plainTemplate,
    embedding,
    log,
  });
  return { cluster, service };
}

const embed = (service: TextService, inputs: readonly string[], options: Partial<EmbeddingOptions>) =>
  service.embed(inputs, { pooling: null, dimensions: null, standing: NOBODY_IN_PARTICULAR, ...options });

/** Hidden state and logits of every token, a row a step. */
async function rowsOf(
  model: LanguageModel,
  tokens: readonly number[],
): Promise<{ hidden: Float32Array; logits: Float32Array }[]> {
  const pages = Array.from({ length: pagesFor(tokens.length) }, (_, page) => page);
  const rows: { hidden: Float32Array; logits: Float32Array }[] = [];
  for (const [position, token] of tokens.entries()) {
    const [hidden, logits] = await model.step([{ tokens: [token], position, pages, hidden: 1, logits: 1 }]);
    rows.push({ hidden: hidden!.slice(), logits: logits!.slice() });
  }
  return rows;
}

test('embeddings are pooled hidden states, and the head makes the logits of these', async (t) => {
  const { cluster, service } = await serve(t, { daemons: 0, memory: 1 });
  const { model } = cluster;
  const { codec } = openTextTools(model);
  const rows = await rowsOf(cluster.cluster, encodePrompt(codec, TEXTS[1]!));
  // The head is the embedding; both factors of its products were rounded to 8 bits or so.
  const weights = new Float32Array(model.spec.dim);
  for (const { hidden, logits } of [rows[0]!, rows.at(-1)!]) {
    const scale = Math.max(...logits.map(Math.abs));
    for (let token = 0; token < model.spec.vocabSize; token++) {
      await model.embedding.row(token, weights);
      const product = weights.reduce((sum, weight, i) => sum + weight * hidden[i]!, 0);
      assert.ok(Math.abs(product - logits[token]!) < 0.01 * scale, `token ${token}: ${product}, ${logits[token]}`);
    }
  }
  const states = rows.map(({ hidden }) => hidden);
  for (const pooling of ['mean', 'last'] as const) {
    const { vectors } = await embed(service, [TEXTS[1]!], { pooling, dimensions: 100 });
    assert.deepEqual(vectors, [expectedEmbedding(states, pooling, 100)]);
  }
  const [unsaid, last] = await Promise.all(
    ([null, 'last'] as const).map((pooling) => embed(service, TEXTS, { pooling })),
  );
  assert.deepEqual(unsaid!.vectors, last!.vectors);
});

test('each token of a prompt is judged by the logits before it', async (t) => {
  const { cluster, service } = await serve(t, { daemons: 1, memory: 1, head: 'shared' });
  const { codec } = openTextTools(cluster.model);
  const tokens = encodePrompt(codec, TEXTS[3]!);
  const rows = await rowsOf(cluster.cluster, tokens);
  const settings = { maxTokens: 0, sampling: GREEDY, stop: [], logprobs: null, standing: NOBODY_IN_PARTICULAR };
  const judged = [];
  for await (const event of service.complete([TEXTS[3]!], { ...settings, choices: 2, promptLogProbs: 3 })) {
    if (event.type === 'end') judged[event.choice] = event.promptLogProbs;
  }
  assert.deepEqual(judged, [tokens.slice(1).map((token, i) => logprobs(rows[i]!.logits, token, 3)), undefined]);
});

test('an embedding has the same bits alone, among others and on any cluster', async (t) => {
  const alone: Record<string, Float32Array[]> = { mean: [], last: [] };
  const shapes: Omit<WindowClusterOptions, 'log'>[] = [
    { daemons: 0, memory: 1 },
    { daemons: 1, memory: 1, backend: 'wasm' },
    { daemons: 2, memory: 0.5, head: 'shared', overlap: { halves: () => true, observe: () => {} } },
  ];
  for (const [i, shape] of shapes.entries()) {
    const { service } = await serve(t, shape);
    for (const pooling of ['mean', 'last'] as const) {
      if (i === 0) {
        for (const text of TEXTS) alone[pooling]!.push((await embed(service, [text], { pooling })).vectors[0]!);
      }
      const { vectors } = await embed(service, TEXTS, { pooling });
      assert.deepEqual(vectors, alone[pooling], `${shape.daemons} daemons, ${pooling}`);
    }
  }
  for (const vector of [...alone.mean!, ...alone.last!]) {
    const length = Math.hypot(...vector);
    assert.ok(Math.abs(length - 1) < 1e-6, `${length}`);
  }
  assert.notDeepEqual(alone.mean, alone.last);
});
