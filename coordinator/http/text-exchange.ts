import type { Context } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import type { FinishReason, TokenEvent } from '../generation/generator.ts';
import type { TextEvent } from '../generation/text-service.ts';
import type { ApiContext } from './api-context.ts';
import { EVENT_STREAM_HEADERS, eventStream } from './event-stream.ts';
import { RequestScope } from './request-scope.ts';
import { type UsageBody, usageBody } from './usage.ts';

type ChoiceEvent = Exclude<TextEvent, { type: 'accepted' }>;

/** A finished choice, as a response that is not streamed shows it. */
export interface FinishedChoice {
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly TokenEvent[];
  readonly finishReason: FinishReason;
}

/** How one endpoint words what the text service reports. */
export interface TextExchange {
  /** Begins the work, which ends when the signal aborts. */
  readonly begin: (signal: AbortSignal) => AsyncGenerator<TextEvent, void, undefined>;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The whole response. */
  readonly response: (choices: readonly FinishedChoice[], usage: UsageBody) => unknown;
  /** Chunks sent before any token. */
  readonly opening: () => unknown[];
  /** Chunks that an event is worth: none while its text is held back. */
  readonly chunks: (event: ChoiceEvent) => unknown[];
  /** The chunk that carries the usage of a stream. */
  readonly usageChunk: (usage: UsageBody) => unknown;
}

async function collect(
  events: AsyncGenerator<TextEvent, void, undefined>,
): Promise<{ choices: FinishedChoice[]; usage: UsageBody }> {
  const choices: FinishedChoice[] = [];
  let promptTokens = 0;
  let completionTokens = 0;
  let text = '';
  let tokens: TokenEvent[] = [];
  for await (const event of events) {
    if (event.type === 'accepted') {
      promptTokens = event.promptTokens;
      continue;
    }
    text += event.text;
    if (event.type === 'token') {
      tokens.push(event);
      continue;
    }
    completionTokens += event.usage.completionTokens;
    choices.push({ index: event.choice, text, tokens, finishReason: event.finishReason });
    text = '';
    tokens = [];
  }
  return { choices, usage: usageBody(promptTokens, completionTokens) };
}

/**
 * Carries out a text request and answers it, whole or streamed. A client that disconnects ends the work at once,
 * whether it waits or runs. Errors up to the place in the queue have a status of their own, also when streaming.
 */
export async function exchangeText(c: Context, api: ApiContext, exchange: TextExchange): Promise<Response> {
  const scope = new RequestScope(c.req.raw.signal, api.shutdown);
  const started = performance.now();
  const logDone = (usage: UsageBody): void => {
    const ms = Math.round(performance.now() - started);
    api.log.info({ path: c.req.path, stream: exchange.stream, ...usage, ms }, 'answered');
  };
  let isStreaming = false;
  try {
    const events = exchange.begin(scope.signal);
    if (!exchange.stream) {
      const { choices, usage } = await collect(events);
      logDone(usage);
      return c.json(exchange.response(choices, usage) as Record<string, unknown>);
    }

    const first = await events.next();
    if (first.done === true || first.value.type !== 'accepted') {
      throw new StarlingError('internal', 'the text service answered before it accepted the request');
    }
    const { promptTokens } = first.value;
    isStreaming = true;
    const body = eventStream({
      scope,
      log: api.log,
      keepAliveMs: api.keepAliveMs,
      stalledClientMs: api.stalledClientMs,
      produce: async (send) => {
        let completionTokens = 0;
        try {
          for (const chunk of exchange.opening()) await send(chunk);
          for await (const event of events) {
            if (event.type === 'accepted') continue;
            for (const chunk of exchange.chunks(event)) await send(chunk);
            if (event.type === 'end') completionTokens += event.usage.completionTokens;
          }
        } finally {
          // The opening may fail before the loop owns the events.
          await events.return();
        }
        const usage = usageBody(promptTokens, completionTokens);
        logDone(usage);
        if (exchange.includeUsage) await send(exchange.usageChunk(usage));
      },
    });
    return c.body(body, 200, EVENT_STREAM_HEADERS);
  } finally {
    if (!isStreaming) scope.dispose();
  }
}
