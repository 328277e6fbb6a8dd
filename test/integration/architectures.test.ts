import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Cluster } from '../../coordinator/cluster/cluster.ts';
import type { LanguageModel } from '../../coordinator/language-model.ts';
import { ARCHITECTURES } from '../../coordinator/model/architectures/known.ts';
import { type OpenModel, openModel } from '../../coordinator/model/open-model.ts';
import { MAX_ROWS, pagesFor } from '../../daemon/engine/engine-spec.ts';
import { createLogger } from '../../daemon/log.ts';
import { processMemory } from '../../daemon/process-memory.ts';
import { TileStore } from '../../daemon/store/tile-store.ts';
import { bestBackend } from '../../kernels/create-kernels.ts';
import {
  type ArchitectureModel,
  type ArchitectureType,
  writeArchitectureModel,
} from '../../scripts/architectures/architecture-model.ts';
import { EXPERT_MODELS } from '../../scripts/architectures/expert-models.ts';
import {
  type ArchitectureGolden,
  type Closeness,
  CONTEXT,
  closeness,
  forcedTokens,
  PROMPT,
} from '../../scripts/architectures/golden.ts';
import { ARCHITECTURE_MODELS } from '../../scripts/architectures/models.ts';
import { starlingError } from '../fixtures/gguf.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

/**
 * How close a result has to be. Activations are rounded otherwise than in llama.cpp: a little for matrices of floats,
 * to 8 bits for others; and where two experts are chosen alike, rounding decides. A step in which two tokens are almost
 * as likely may fall either way, so that of the clear steps more have to agree than of all.
 */
function tolerance(model: ArchitectureModel, type: ArchitectureType): Omit<Closeness, 'clear'> {
  if (type !== 'F16' || EXPERT_MODELS.includes(model)) return { agreement: 0.98, clearAgreement: 0.98, distance: 0.02 };
  return { agreement: 0.98, clearAgreement: 0.99, distance: 0.005 };
}

for (const model of ARCHITECTURE_MODELS) {
  const isKnown = Object.hasOwn(ARCHITECTURES, model.architecture);
  for (const type of ['F16', model.type] satisfies ArchitectureType[]) {
    const name = `${model.name}-${type.toLowerCase()}`;
    test(isKnown ? `${name} agrees with llama.cpp` : `${name} is refused`, async (t) => {
      const golden = readGolden(name);
      const path = join(temporaryFolder(t), 'model.gguf');
      await writeArchitectureModel(path, model, type, golden.seed);
      if (!isKnown) {
        await assert.rejects(openModel(path), starlingError('model_unsupported_architecture', model.architecture));
        return;
      }
      const opened = await openModel(path);
      t.after(() => opened.gguf.close());
      const cluster = await startHere(t, opened);
      const tokens = forcedTokens(golden.seed, model.shape.vocabSize);
      const found = closeness(golden, await probabilities(cluster, tokens));
      const least = tolerance(model, type);
      const shown =
        `${percent(found.agreement)} of all steps agree, ${percent(found.clearAgreement)} of the clear ones, ` +
        `which are ${percent(found.clear)}; mean distance ${found.distance.toFixed(4)}`;
      t.diagnostic(shown);
      assert.ok(found.agreement >= least.agreement, shown);
      assert.ok(found.clearAgreement >= least.clearAgreement, shown);
      assert.ok(found.distance <= least.distance, shown);
    });
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function readGolden(name: string): ArchitectureGolden {
  const path = fileURLToPath(new URL(`../../../test/fixtures/architectures/${name}.json`, import.meta.url));
  return JSON.parse(readFileSync(path, 'utf8')) as ArchitectureGolden;
}

/** The whole model in this process. */
async function startHere(t: TestContext, model: OpenModel): Promise<Cluster> {
  const cluster = await Cluster.start({
    model,
    ranks: [],
    ownShare: true,
    store: new TileStore(temporaryFolder(t)),
    backend: bestBackend(),
    threads: 1,
    memory: processMemory(1e9),
    contextLength: CONTEXT,
    kv: 'f16',
    log: createLogger('silent', 'test'),
  });
  t.after(() => cluster.stop());
  return cluster;
}

/** Of each row from PROMPT on. */
async function probabilities(model: LanguageModel, tokens: readonly number[]): Promise<Float64Array[]> {
  const pages = Array.from({ length: pagesFor(tokens.length) }, (_, page) => page);
  const rows: Float64Array[] = [];
  for (let position = 0; position < tokens.length; position += MAX_ROWS) {
    const step = tokens.slice(position, position + MAX_ROWS);
    const logits = await model.step([{ tokens: step, position, pages, logits: step.length }]);
    rows.push(...logits.map(softmax));
  }
  return rows.slice(PROMPT);
}

function softmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}
