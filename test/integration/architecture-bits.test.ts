import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ForwardPass } from '../../coordinator/forward-pass.ts';
import { ARCHITECTURES } from '../../coordinator/model/architectures/known.ts';
import { openModel } from '../../coordinator/model/open-model.ts';
import { pagesFor } from '../../daemon/engine/engine-spec.ts';
import { backendAvailable } from '../../kernels/create-kernels.ts';
import { writeArchitectureModel } from '../../scripts/architectures/architecture-model.ts';
import { ARCHITECTURE_MODELS } from '../../scripts/architectures/models.ts';
import { Random } from '../fixtures/random.ts';
import { type Split, splitModel } from '../fixtures/split-model.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

/** More than the windows of these models see. */
const POSITIONS = 36;

const SPLITS: readonly Split[] = [
  { backend: 'native', devices: 1, threads: 2 },
  { backend: 'native', devices: 2, threads: 1 },
  { backend: 'native', devices: 3, threads: 1 },
  { backend: 'native', devices: 4, threads: 1 },
  { backend: 'wasm', devices: 1, threads: 1 },
  { backend: 'reference', devices: 1, threads: 1 },
];

/** One of each architecture. */
const MODELS = Object.keys(ARCHITECTURES).flatMap(
  (name) => ARCHITECTURE_MODELS.find(({ architecture }) => architecture === name) ?? [],
);

test('there is a model of every architecture', () => assert.equal(MODELS.length, Object.keys(ARCHITECTURES).length));

for (const model of MODELS) {
  const kv = model.name.length % 2 === 0 ? 'f16' : 'q8';
  test(`${model.name}, ${model.type}, cache in ${kv}: the same bits on 1 to 4 devices, and on every backend`, async (t) => {
    const path = join(temporaryFolder(t), 'model.gguf');
    await writeArchitectureModel(path, model, model.type, 1);
    const opened = await openModel(path);
    t.after(() => opened.gguf.close());
    const random = new Random(7);
    const tokens = Array.from({ length: POSITIONS }, () => random.between(0, opened.spec.vocabSize - 1));
    const tiles = new Map<string, Uint8Array>();
    const digests = new Map<string, string>();
    for (const split of SPLITS.filter(({ backend }) => backendAvailable(backend))) {
      const forward = await splitModel(t, opened, split, { kv, positions: POSITIONS, tiles });
      // Rows that are computed together, and alone: at other places for other splits.
      digests.set(JSON.stringify(split), await digestOf(forward, tokens, split.backend === 'native' ? 3 : 17));
    }
    assert.ok(digests.size >= 3);
    assert.equal(new Set(digests.values()).size, 1, JSON.stringify([...digests], null, 1));
  });
}

/** Of the logits after each of the last tokens. @param alone how many of them are computed row by row */
async function digestOf(model: ForwardPass, tokens: readonly number[], alone: number): Promise<string> {
  const pages = Array.from({ length: pagesFor(POSITIONS) }, (_, page) => page);
  const hash = createHash('sha256');
  const last = 10;
  const step = async (from: number, to: number): Promise<void> => {
    const wanted = Math.max(0, to - Math.max(from, tokens.length - last));
    const logits = await model.step([{ tokens: tokens.slice(from, to), position: from, pages, logits: wanted }]);
    for (const row of logits) hash.update(row);
  };
  await step(0, tokens.length - alone);
  for (let at = tokens.length - alone; at < tokens.length; at++) await step(at, at + 1);
  return hash.digest('hex');
}
