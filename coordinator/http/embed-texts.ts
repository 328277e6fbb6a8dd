import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Context } from 'hono';
import { LONGEST_TURN_MS } from '../../daemon/turns.ts';
import type { EmbeddingOptions, Embeddings } from '../generation/embedding.ts';
import type { ApiContext } from './api-context.ts';

/**
 * Embeds the texts of a request. The work ends at once when its client leaves.
 * @throws StarlingError what TextService.embed throws
 */
export async function embedTexts(
  c: Context,
  api: ApiContext,
  inputs: readonly (string | readonly number[])[],
  options: EmbeddingOptions,
): Promise<Embeddings> {
  const scope = api.scopes.open(c.req.raw.signal);
  const started = performance.now();
  try {
    const embeddings = await api.service.embed(inputs, options, scope.signal);
    const { promptTokens, cachedTokens } = embeddings;
    const ms = Math.round(performance.now() - started);
    api.log.info({ path: c.req.path, texts: inputs.length, promptTokens, cachedTokens, ms }, 'embedded');
    return embeddings;
  } finally {
    scope.dispose();
  }
}

/**
 * Vectors as the text of a JSON list. There may be millions of values: others have their turn in between.
 * @param worded what stands for a vector, as JSON
 */
export async function vectorList(
  vectors: readonly Float32Array[],
  worded: (vector: Float32Array, index: number) => unknown,
): Promise<string> {
  const texts: string[] = [];
  let turn = performance.now();
  for (const [i, vector] of vectors.entries()) {
    texts.push(JSON.stringify(worded(vector, i)));
    if (performance.now() - turn <= LONGEST_TURN_MS) continue;
    await nextTurn();
    turn = performance.now();
  }
  return `[${texts.join()}]`;
}
