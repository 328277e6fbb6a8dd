import type { Handler } from 'hono';
import type { ApiContext } from '../../api-context.ts';
import { embedTexts, vectorList } from '../../embed-texts.ts';
import { parseEmbeddingRequest } from './embedding-request.ts';
import { readRequest } from './read-request.ts';

const base64 = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');

/** POST /v1/embeddings */
export function embeddings(api: ApiContext): Handler {
  const { service } = api;
  return async (c) => {
    const { inputs, options, isBase64 } = await readRequest(c, api, 'embeddings', parseEmbeddingRequest);
    const { vectors, promptTokens, cachedTokens } = await embedTexts(c, api, inputs, options);
    const data = await vectorList(vectors, (vector, index) => ({
      object: 'embedding',
      index,
      embedding: isBase64 ? base64(vector) : [...vector],
    }));
    const usage = {
      prompt_tokens: promptTokens,
      total_tokens: promptTokens,
      prompt_tokens_details: { cached_tokens: cachedTokens },
    };
    const text = `{"object":"list","data":${data},"model":${JSON.stringify(service.modelId)},"usage":${JSON.stringify(usage)}}`;
    return c.body(text, 200, { 'Content-Type': 'application/json' });
  };
}
