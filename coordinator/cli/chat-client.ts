import { z } from 'zod';
import { ERRORS, type ErrorCode, StarlingError } from '../../daemon/errors.ts';
import type { SplitText } from '../generation/answer-split.ts';

export interface ChatTurn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface StreamChatOptions {
  /** The endpoint, with or without a trailing "/v1". */
  readonly url: string;
  /** Of the endpoint, where it asks for one. */
  readonly apiKey?: string;
  readonly model: string;
  readonly messages: readonly ChatTurn[];
  readonly temperature?: number;
  readonly maxTokens?: number;
  readonly signal?: AbortSignal;
}

const deltaSchema = z.object({ content: z.string().nullish(), reasoning_content: z.string().nullish() });

const chunkSchema = z.object({
  choices: z.array(z.object({ delta: deltaSchema.optional() })).optional(),
  error: z.object({ message: z.string(), code: z.string().nullish() }).optional(),
});

/** "http://host:port" of an endpoint however it was written. @throws StarlingError invalid_argument */
function endpointRoot(url: string): string {
  if (!URL.canParse(url)) {
    throw new StarlingError('invalid_argument', `${url} is no URL: give the endpoint like http://127.0.0.1:7827`);
  }
  return url.replace(/\/+$/, '').replace(/\/v1$/, '');
}

/**
 * Asks a chat endpoint and yields the answer as it comes, and the reasoning that the endpoint tells apart.
 * @throws StarlingError endpoint_unreachable, key_invalid; the endpoint's own error
 */
export async function* streamChat(options: StreamChatOptions): AsyncGenerator<SplitText, void, undefined> {
  const { url, apiKey, model, messages, temperature, maxTokens, signal } = options;
  const body = JSON.stringify({ model, messages, stream: true, temperature, max_tokens: maxTokens });
  const response = await request(`${endpointRoot(url)}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...keyHeader(apiKey) },
    body,
    signal: signal ?? null,
  });
  if (!response.ok || response.body === null) throw failed(await response.text(), response.status);
  let pending = '';
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    pending += decoder.decode(bytes, { stream: true });
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      const chunk = chunkSchema.parse(JSON.parse(line.slice('data: '.length)));
      if (chunk.error !== undefined) throw failed(line.slice('data: '.length), response.status);
      const delta = chunk.choices?.[0]?.delta;
      const part = { reasoning: delta?.reasoning_content ?? '', text: delta?.content ?? '' };
      if (part.reasoning !== '' || part.text !== '') yield part;
    }
  }
}

/** The model that an endpoint serves. @throws StarlingError endpoint_unreachable, key_invalid, unauthorized */
export async function servedModel(url: string, apiKey?: string): Promise<string> {
  const response = await request(`${endpointRoot(url)}/v1/models`, { headers: keyHeader(apiKey) });
  if (response.status === 401) throw failed(await response.text(), response.status);
  const models = z
    .object({ data: z.array(z.object({ id: z.string() })).min(1) })
    .safeParse(await response.json().catch(() => null));
  if (!models.success)
    throw new StarlingError('endpoint_unreachable', `${url} is no chat endpoint; give another with --url`);
  return models.data.data[0]!.id;
}

/** @throws StarlingError key_invalid for a key that no header can carry */
function keyHeader(apiKey: string | undefined): Record<string, string> {
  if (apiKey === undefined) return {};
  if (/^[\x21-\x7e]+$/.test(apiKey)) return { authorization: `Bearer ${apiKey}` };
  throw new StarlingError(
    'key_invalid',
    'the key of the endpoint is empty, or has spaces or characters beyond ASCII, which no key has: look at --api-key and STARLING_API_KEY',
  );
}

async function request(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    if (init.signal?.aborted) throw new StarlingError('cancelled', 'the request was cancelled', { cause });
    throw new StarlingError(
      'endpoint_unreachable',
      `nothing answers at ${url}: start one with "starling serve MODEL", or give another with --url`,
      { cause },
    );
  }
}

function failed(body: string, status: number): StarlingError {
  try {
    const { error } = chunkSchema.required({ error: true }).parse(JSON.parse(body));
    const code = error.code ?? '';
    return new StarlingError(Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'internal', error.message);
  } catch {
    // Not in OpenAI's shape: some other server.
    return new StarlingError(
      'endpoint_unreachable',
      `the endpoint answered with status ${status}: ${body.slice(0, 200)}`,
    );
  }
}
