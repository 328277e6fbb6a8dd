import type { Handler } from 'hono';
import type { EndEvent, GenerationTimings, GenerationUsage } from '../../../generation/events.ts';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { requestOrigin } from '../../request-origin.ts';
import { checkModel } from '../../served-model.ts';
import { EVENT_STREAM_HEADERS, serverSentEvent } from '../../server-sent-events.ts';
import { exchangeText, type StreamWords } from '../../text-exchange.ts';
import { llamaCpp } from './dialect.ts';
import { parseInfill } from './infill-request.ts';

const perSecond = (count: number, ms: number): number => (ms > 0 ? (1000 * count) / ms : 0);

/** How fast it went. Time in the queue is not counted. */
function timingFields({ promptTokens, cachedTokens, completionTokens }: GenerationUsage, timings: GenerationTimings) {
  const { prefillMs, decodeMs } = timings;
  const computed = promptTokens - cachedTokens;
  return {
    cache_n: cachedTokens,
    prompt_n: computed,
    prompt_ms: prefillMs,
    prompt_per_second: perSecond(computed, prefillMs),
    predicted_n: completionTokens,
    predicted_ms: decodeMs,
    predicted_per_second: perSecond(completionTokens, decodeMs),
  };
}

/** What a whole answer says beside its text, and the end of one that is streamed. */
const endFields = (model: string, { finishReason, usage, timings }: Omit<EndEvent, 'type' | 'text'>) => ({
  stop: true,
  model,
  tokens_predicted: usage.completionTokens,
  tokens_evaluated: usage.promptTokens,
  tokens_cached: usage.promptTokens + usage.completionTokens,
  truncated: false,
  stop_type: finishReason === 'length' ? 'limit' : 'eos',
  timings: timingFields(usage, timings),
});

const part = (content: string): string => serverSentEvent({ index: 0, content, stop: false });

const infillStream = (model: string): StreamWords => ({
  headers: EVENT_STREAM_HEADERS,
  opening: () => [],
  event: (event) => {
    if (event.type === 'token') return event.text === '' ? [] : [part(event.text)];
    return [serverSentEvent({ index: 0, content: event.text, ...endFields(model, event) })];
  },
  closing: () => [],
  idle: () => part(''),
  failed: (error) => serverSentEvent(llamaCpp.errorBody(error)),
});

/** POST /infill: what belongs into a gap of a text, for editors. */
export function infill(api: ApiContext): Handler {
  const { service } = api;
  return async (c) => {
    const request = parseInfill(await readJsonObject(c), requestOrigin(c, api), api.unknownFields);
    checkModel(request.model, service);
    return exchangeText(c, api, {
      begin: (signal) => service.complete([request.gap], request.settings, signal),
      prompts: 1,
      answersToPrompt: 1,
      stream: request.stream ? infillStream(service.modelId) : null,
      response: ([answer], usage) => ({
        index: 0,
        content: answer!.text,
        ...endFields(service.modelId, { ...answer!, usage }),
      }),
    });
  };
}
