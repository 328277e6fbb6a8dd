// Records what llama.cpp computes with small models of all architectures, for test/integration/architectures.test.ts:
// npm install --prefix /tmp/oracle node-llama-cpp && node dist/scripts/record-architectures.js --llama /tmp/oracle
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { ablations } from './architectures/ablations.ts';
import { type ArchitectureType, modelContent } from './architectures/architecture-model.ts';
import { type ArchitectureGolden, type Closeness, closeness, forcedTokens, likeliest } from './architectures/golden.ts';
import { type LlamaCpp, openLlamaCpp } from './architectures/llama-cpp.ts';
import { ARCHITECTURE_MODELS } from './architectures/models.ts';
import { writeGguf } from './gguf-writer.ts';

interface Options {
  readonly llama: string;
  readonly only?: string;
  readonly ablate?: boolean;
}

const FOLDER = 'test/fixtures/architectures';
const SEED = 1;
/** Without a feature of its model, a result is further off than this: the test's own bounds are far closer. */
const SEEN: Pick<Closeness, 'clearAgreement' | 'distance'> = { clearAgreement: 0.9, distance: 0.05 };

const { llama, only, ablate } = new Command('record-architectures')
  .description(`Write ${FOLDER}/*.json from what llama.cpp computes.`)
  .requiredOption('--llama <folder>', 'where node-llama-cpp is installed')
  .option('--only <name>', 'one model instead of all')
  .option('--ablate', 'write nothing, but show how far results are off without each feature of a model')
  .parse()
  .opts<Options>();
const folder = mkdtempSync(join(tmpdir(), 'starling-record-'));
const path = join(folder, 'model.gguf');
try {
  const oracle = await openLlamaCpp(llama);
  await mkdir(FOLDER, { recursive: true });
  for (const model of ARCHITECTURE_MODELS.filter(({ name }) => only === undefined || name === only)) {
    const { shape } = model;
    const tokens = forcedTokens(SEED, shape.vocabSize);
    const types: ArchitectureType[] = ablate ? ['F16'] : ['F16', model.type];
    for (const type of types) {
      const name = `${model.name}-${type.toLowerCase()}`;
      const content = modelContent(model, type, SEED);
      await writeGguf(path, content);
      const golden = goldenOf(oracle, await oracle.probabilities(path, tokens, shape.vocabSize), name);
      if (!ablate) await writeFile(join(FOLDER, `${name}.json`), `${JSON.stringify(golden)}\n`);
      const sorted = golden.probabilities.toSorted((a, b) => a - b);
      const quarters = [0.1, 0.5, 0.9].map((part) => sorted[Math.floor(part * sorted.length)]?.toFixed(2));
      console.log(`${name}: ${new Set(golden.tokens).size} tokens, probabilities ${quarters.join(', ')}`);
      if (!ablate) continue;
      for (const { feature, content: without } of ablations(content, model)) {
        await writeGguf(path, without);
        const probabilities = await oracle.probabilities(path, tokens, shape.vocabSize);
        if (probabilities === null) continue;
        const { clearAgreement, distance } = closeness(golden, probabilities);
        const unseen = clearAgreement > SEEN.clearAgreement && distance < SEEN.distance;
        if (unseen) process.exitCode = 1;
        console.log(
          `  without ${feature}: agreement ${clearAgreement.toFixed(3)}, distance ${distance.toFixed(3)}${unseen ? ' UNSEEN' : ''}`,
        );
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit();

function goldenOf(
  { version }: LlamaCpp,
  probabilities: readonly Float64Array[] | null,
  name: string,
): ArchitectureGolden {
  if (probabilities === null) throw new Error(`llama.cpp refuses ${name}`);
  const rows = probabilities.map((row) => ({ token: likeliest(row), best: row.toSorted((a, b) => b - a) }));
  const rounded = (value = 0) => Number(value.toFixed(4));
  return {
    engine: `llama.cpp ${version}`,
    seed: SEED,
    tokens: rows.map(({ token }) => token),
    probabilities: rows.map(({ best }) => rounded(best[0])),
    seconds: rows.map(({ best }) => rounded(best[1])),
  };
}
