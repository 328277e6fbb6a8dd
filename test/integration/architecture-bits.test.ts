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
/** Of these, what the reference computes too. */
const START = 8;

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
/** Layers of one architecture that only some of its models have. */
const OTHERS = ARCHITECTURE_MODELS.filter(({ name }) => name === 'olmo3');

test('there is a model of every architecture', () => assert.equal(MODELS.length, Object.keys(ARCHITECTURES).length));

for (const model of [...MODELS, ...OTHERS]) {
  const kv = model.name.length % 2 === 0 ? 'f16' : 'q8';
  test(`${model.name}, ${model.type}, cache in ${kv}: the same bits on 1 to 4 devices, and on every backend`, async (t) => {
    const path = join(temporaryFolder(t), 'model.gguf');
    await writeArchitectureModel(path, model, model.type, 1);
    const opened = await openModel(path);
    t.after(() => opened.gguf.close());
    const random = new Random(7);
    const tokens = Array.from({ length: POSITIONS }, () => random.between(0, opened.spec.vocabSize - 1));
    const tiles = new Map<string, Uint8Array>();
    const starts = new Map<string, string>();
    const ends = new Map<string, string>();
    for (const split of SPLITS.filter(({ backend }) => backendAvailable(backend))) {
      const forward = await splitModel(t, opened, split, { kv, positions: POSITIONS, tiles });
      const name = JSON.stringify(split);
      starts.set(name, await digestOf(forward, tokens, 0, [START]));
      // Slow: what lies beyond is compared kernel by kernel (test/unit/kernels).
      if (split.backend === 'reference') continue;
      // Rows that are computed together, and alone: others for other splits.
      const together = split.backend === 'native' ? 21 : 14;
      ends.set(name, await digestOf(forward, tokens, START, [together, ...alone(POSITIONS - START - together)]));
    }
    assert.ok(starts.size >= 3 && ends.size >= 2);
    for (const digests of [starts, ends])
      assert.equal(new Set(digests.values()).size, 1, JSON.stringify([...digests], null, 1));
  });
}

const alone = (rows: number): number[] => Array.from({ length: rows }, () => 1);

/** Of the logits after each token. @param steps how many rows are computed together, from position `from` on */
async function digestOf(
  model: ForwardPass,
  tokens: readonly number[],
  from: number,
  steps: readonly number[],
): Promise<string> {
  const pages = Array.from({ length: pagesFor(POSITIONS) }, (_, page) => page);
  const hash = createHash('sha256');
  let position = from;
  for (const rows of steps) {
    const step = tokens.slice(position, position + rows);
    for (const row of await model.step([{ tokens: step, position, pages, logits: rows }])) hash.update(row);
    position += rows;
  }
  return hash.digest('hex');
}
