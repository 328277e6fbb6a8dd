import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { Cluster } from '../../../coordinator/cluster/cluster.ts';
import { encodePrompt } from '../../../coordinator/generation/text-codec.ts';
import type { LanguageModel } from '../../../coordinator/language-model.ts';
import { openModel } from '../../../coordinator/model/open-model.ts';
import { openTextTools } from '../../../coordinator/text-model.ts';
import { createLogger } from '../../../daemon/log.ts';
import { processMemory } from '../../../daemon/process-memory.ts';
import { TileStore } from '../../../daemon/store/tile-store.ts';
import { bestBackend } from '../../../kernels/create-kernels.ts';
import { KV_FORMAT_NAMES, type KvFormat } from '../../../kernels/formats.ts';
import { LoneSequence } from '../../../scripts/lone-sequence.ts';
import { attentionOf } from '../../fixtures/model-phases.ts';
import { sharedData } from '../../fixtures/shared-data.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

/** What llama.cpp said to one prompt. */
interface Golden {
  readonly prompt: string;
  readonly tokens: readonly number[];
  /** Its greedy continuation; step i's distribution is the one after tokens and greedy[0..i−1]. */
  readonly greedy: readonly number[];
  /** Per step its likeliest tokens: [token, probability], likeliest first. */
  readonly top: readonly (readonly (readonly [number, number])[])[];
}

/** llama.cpp rounds activations differently, so a choice between two tokens this close may fall either way. */
const CLEAR_LEAD = 0.05;

/**
 * How close a format has to be: the share of clear steps with the same first choice, and the mean distance of its
 * probability.
 */
function tolerance(type: string, kv: KvFormat): { readonly agreement: number; readonly distance: number } {
  if (kv === 'q8') return { agreement: 0.99, distance: 0.01 };
  if (type === 'F32') return { agreement: 1, distance: 0.001 };
  return { agreement: 0.99, distance: ['F16', 'BF16'].includes(type) ? 0.001 : 0.01 };
}

const folder = sharedData('goldens');
const names = (folder === null ? [] : readdirSync(folder))
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.slice(0, -'.json'.length))
  .filter((name) => sharedData(`models/${name}.gguf`) !== null)
  .sort();

test('there are goldens to compare with', { skip: folder === null && 'no ../shared/data' }, () => {
  assert.ok(names.includes('stories260K') && names.includes('tiny-chat-q8_0'), names.join());
});

const cases = names.flatMap((name) => KV_FORMAT_NAMES.map((kv) => ({ name, kv })));

for (const { name, kv } of cases) {
  test(`${name} with its cache in ${kv} agrees with llama.cpp`, async (t) => {
    const { results } = JSON.parse(readFileSync(sharedData(`goldens/${name}.json`) ?? '', 'utf8')) as {
      results: Golden[];
    };
    const model = await openModel(sharedData(`models/${name}.gguf`) ?? '');
    t.after(() => model.gguf.close());
    const { codec, template } = openTextTools(model);
    t.after(() => template.close());
    for (const { prompt, tokens } of results) assert.deepEqual(encodePrompt(codec, prompt), tokens, prompt);

    const cluster = await startHere(t, model, kv);
    const compared = { steps: 0, clear: 0, agreed: 0, distance: 0 };
    for (const golden of results) await compare(cluster, golden, compared);
    const { agreement, distance } = tolerance(attentionOf(model.spec).q.weight.tensor.type, kv);
    const shown = `${compared.agreed} of ${compared.clear} clear steps agree; mean distance ${compared.distance / compared.steps}`;
    t.diagnostic(shown);
    assert.ok(compared.clear > compared.steps / 4, shown);
    assert.ok(compared.agreed >= agreement * compared.clear, shown);
    assert.ok(compared.distance / compared.steps <= distance, shown);
  });
}

/** The whole model in this process. */
async function startHere(t: TestContext, model: Awaited<ReturnType<typeof openModel>>, kv: KvFormat): Promise<Cluster> {
  const cluster = await Cluster.start({
    model,
    ranks: [],
    ownShare: true,
    store: new TileStore(temporaryFolder(t)),
    backend: bestBackend(),
    threads: 2,
    memory: processMemory(4e9),
    contextLength: 256,
    kv,
    log: createLogger('silent', 'test'),
  });
  t.after(() => cluster.stop());
  return cluster;
}

/** Feeds llama.cpp's own tokens and compares the distribution at each step. */
async function compare(
  model: LanguageModel,
  { tokens, greedy, top }: Golden,
  compared: { steps: number; clear: number; agreed: number; distance: number },
): Promise<void> {
  const sequence = new LoneSequence(model);
  for (const [step, best] of top.entries()) {
    const logits = await sequence.append(step === 0 ? tokens : [greedy[step - 1]!]);
    const probabilities = softmax(logits);
    const [first, second] = best;
    const lead = first![1] - (second?.[1] ?? 0);
    compared.steps++;
    compared.distance += Math.abs(probabilities[first![0]]! - first![1]);
    if (lead < CLEAR_LEAD) continue;
    compared.clear++;
    if (probabilities.indexOf(Math.max(...probabilities)) === first![0]) compared.agreed++;
  }
}

function softmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}
