import type { Context, Handler } from 'hono';
import { z } from 'zod';
import type { Embeddings } from '../../../generation/embedding.ts';
import type { ApiContext } from '../../api-context.ts';
import { embedTexts, vectorList } from '../../embed-texts.ts';
import { readJsonObject } from '../../json-body.ts';
import { MAX_INPUTS, MAX_NAME } from '../../request-limits.ts';
import { requestOrigin } from '../../request-origin.ts';
import { validate } from '../../validation.ts';
import { checkOllamaModel } from './models.ts';

/** What says how a model is loaded or how text is sampled changes no vector. */
const COMMON = {
  model: z.string().max(MAX_NAME).nullish(),
  options: z.record(z.string(), z.unknown()).nullish(),
  keep_alive: z.unknown().optional(),
};

const embedBody = z.object({
  ...COMMON,
  input: z
    .union([z.string(), z.array(z.string()).max(MAX_INPUTS)], {
      error: `expected a text, or a list of up to ${MAX_INPUTS} of them`,
    })
    .nullish(),
  dimensions: z.number().nullish(),
  // One that is too long is refused whatever this says: nothing is ever dropped from a text.
  truncate: z.boolean().nullish(),
});

const embeddingsBody = z.object({ ...COMMON, prompt: z.string().nullish() });

const NONE: Embeddings = { vectors: [], promptTokens: 0, cachedTokens: 0 };
const NANOSECONDS = 1e6;

/** The body, by the schema of a route. @throws StarlingError invalid_request, model_not_found */
async function readBody<S extends z.ZodObject<typeof COMMON>>(
  c: Context,
  api: ApiContext,
  schema: S,
): Promise<z.output<S>> {
  const body = await readJsonObject(c);
  const fields = validate(schema, body);
  api.unknownFields.tell(Object.keys(body).filter((field) => !Object.hasOwn(schema.shape, field)));
  checkOllamaModel(typeof fields.model === 'string' ? fields.model : null, api.service);
  return fields;
}

/** No texts are none to embed: by them clients have the model loaded. */
async function embedAll(
  c: Context,
  api: ApiContext,
  texts: readonly string[],
  dimensions: number | null = null,
): Promise<Embeddings> {
  if (texts.length === 0) return NONE;
  const standing = { user: requestOrigin(c, api).userOf(null), priority: 'interactive', timeoutMs: null } as const;
  return embedTexts(c, api, texts, { pooling: null, dimensions, standing });
}

/** POST /api/embed */
export function embed(api: ApiContext): Handler {
  return async (c) => {
    const started = performance.now();
    const { model, input, dimensions } = await readBody(c, api, embedBody);
    const texts = typeof input === 'string' ? [input].filter((text) => text !== '') : (input ?? []);
    const { vectors, promptTokens } = await embedAll(c, api, texts, dimensions);
    const list = await vectorList(vectors, (vector) => [...vector]);
    const name = JSON.stringify(model ?? api.service.modelId);
    const duration = Math.round((performance.now() - started) * NANOSECONDS);
    const text = `{"model":${name},"embeddings":${list},"total_duration":${duration},"load_duration":0,"prompt_eval_count":${promptTokens}}`;
    return c.body(text, 200, { 'Content-Type': 'application/json' });
  };
}

/** POST /api/embeddings, the older route: one text, one vector. */
export function embeddings(api: ApiContext): Handler {
  return async (c) => {
    const { prompt } = await readBody(c, api, embeddingsBody);
    const { vectors } = await embedAll(c, api, prompt ? [prompt] : []);
    return c.json({ embedding: [...(vectors[0] ?? [])] });
  };
}
