import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CONTEXT, PROMPT } from './golden.ts';

/** The part of node-llama-cpp's interface that is used here. */
interface Package {
  getLlama(options: object): Promise<{
    readonly llamaCppRelease: { readonly release: string };
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{ getSequence(): Sequence; dispose(): Promise<void> }>;
      dispose(): Promise<void>;
    }>;
  }>;
}
interface Sequence {
  controlledEvaluate(
    items: readonly (number | [token: number, options: object])[],
  ): Promise<({ readonly next: { readonly probabilities?: Map<number, number> } } | undefined)[]>;
}

/** llama.cpp on the CPU, with one thread, a cache of f16 and no flash attention. */
export interface LlamaCpp {
  readonly version: string;
  /**
   * Feeds the tokens in one batch.
   * @returns for each row from PROMPT on, the probabilities of all tokens; null when llama.cpp refuses the file
   */
  probabilities(path: string, tokens: readonly number[], vocabSize: number): Promise<Float64Array[] | null>;
}

/** @param folder where node-llama-cpp is installed */
export async function openLlamaCpp(folder: string): Promise<LlamaCpp> {
  const entry = createRequire(join(resolve(folder), 'package.json')).resolve('node-llama-cpp');
  const { getLlama } = (await import(pathToFileURL(entry).href)) as Package;
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error', maxThreads: 1 });
  return {
    version: llama.llamaCppRelease.release,
    async probabilities(path, tokens, vocabSize) {
      const model = await llama.loadModel({ modelPath: path, useMmap: false }).catch(() => null);
      if (model === null) return null;
      const options = { contextSize: CONTEXT, batchSize: CONTEXT, threads: 1, flashAttention: false };
      const context = await model.createContext(options);
      const wanted = { generateNext: { probabilities: true, options: { temperature: 0 } } };
      const rows = await context
        .getSequence()
        .controlledEvaluate(tokens.map((token, i) => (i < PROMPT ? token : [token, wanted])));
      await context.dispose();
      await model.dispose();
      return rows.flatMap((row) => {
        if (row?.next.probabilities === undefined) return [];
        const dense = new Float64Array(vocabSize);
        for (const [token, probability] of row.next.probabilities) dense[token] = probability;
        return [dense];
      });
    },
  };
}
