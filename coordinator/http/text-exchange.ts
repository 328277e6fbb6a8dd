import type { Context } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import type { FinishReason, TokenEvent } from '../generation/answer.ts';
import type { TextEvent } from '../generation/text-service.ts';
import type { ApiContext } from './api-context.ts';
import { EVENT_STREAM_HEADERS, eventStream } from './event-stream.ts';
import { type UsageBody, usageBody } from './usage.ts';

type ChoiceEvent = Exclude<TextEvent, { type: 'accepted' }>;

/** A finished choice, as a response that is not streamed shows it. */
export interface FinishedChoice {
  readonly index: number;
  readonly text: string;
  /** What came before the answer, where it is told apart. */
  readonly reasoning: string;
  readonly tokens: readonly TokenEvent[];
  readonly finishReason: FinishReason;
}

/** How one endpoint words what the text service reports. */
export interface TextExchange {
  /** Begins the work, which ends when the signal aborts. */
  readonly begin: (signal: AbortSignal) => AsyncGenerator<TextEvent, void, undefined>;
  readonly prompts: number;
  /** Choices of each prompt. */
  readonly answersToPrompt: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The whole response. */
  readonly response: (choices: readonly FinishedChoice[], usage: UsageBody) => unknown;
  /** Chunks sent before any token. */
  readonly opening: () => unknown[];
  /** Chunks that an event is worth: none while its text is held back. */
  readonly chunks: (event: ChoiceEvent) => unknown[];
  /** A chunk that adds nothing to a choice, for silences of a stream. */
  readonly idleChunk: (choice: number) => unknown;
  /** The chunk that carries the usage of a stream. */
  readonly usageChunk: (usage: UsageBody) => unknown;
}

/** Adds up what a request came to. */
class UsageCount {
  #promptTokens = 0;
  #cachedTokens = 0;
  #completionTokens = 0;
  #reasoningTokens = 0;
  readonly #answersToPrompt: number;

  /** @param answersToPrompt choices of each prompt, which counts once */
  constructor(answersToPrompt: number) {
    this.#answersToPrompt = answersToPrompt;
  }

  add(event: TextEvent): void {
    if (event.type === 'accepted') this.#promptTokens = event.promptTokens;
    if (event.type !== 'end') return;
    this.#completionTokens += event.usage.completionTokens;
    this.#reasoningTokens += event.usage.reasoningTokens;
    // What a prompt's other choices found was computed for this very request.
    if (event.choice % this.#answersToPrompt === 0) this.#cachedTokens += event.usage.cachedTokens;
  }

  get body(): UsageBody {
    return usageBody({
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      cachedTokens: this.#cachedTokens,
      reasoningTokens: this.#reasoningTokens,
    });
  }
}

async function collect(
  events: AsyncGenerator<TextEvent, void, undefined>,
  usage: UsageCount,
): Promise<FinishedChoice[]> {
  const open = new Map<number, { text: string; reasoning: string; tokens: TokenEvent[] }>();
  const finished: FinishedChoice[] = [];
  for await (const event of events) {
    usage.add(event);
    if (event.type === 'accepted') continue;
    const { choice } = event;
    const before = open.get(choice) ?? { text: '', reasoning: '', tokens: [] };
    const { tokens } = before;
    const texts = { text: before.text + event.text, reasoning: before.reasoning + event.reasoning };
    if (event.type === 'end') {
      finished.push({ index: choice, ...texts, tokens, finishReason: event.finishReason });
    } else {
      tokens.push(event);
      open.set(choice, { ...texts, tokens });
    }
  }
  return finished.sort((a, b) => a.index - b.index);
}

/**
 * Carries out a text request and answers it, whole or streamed. A client that disconnects ends the work at once,
 * whether it waits or runs. Errors up to the place in the queue have a status of their own, also when streaming.
 */
export async function exchangeText(c: Context, api: ApiContext, exchange: TextExchange): Promise<Response> {
  const scope = api.scopes.open(c.req.raw.signal);
  const started = performance.now();
  const usage = new UsageCount(exchange.answersToPrompt);
  const logDone = (): void => {
    const ms = Math.round(performance.now() - started);
    api.log.info({ path: c.req.path, stream: exchange.stream, ...usage.body, ms }, 'answered');
  };
  let isStreaming = false;
  try {
    const events = exchange.begin(scope.signal);
    if (!exchange.stream) {
      const choices = await collect(events, usage);
      logDone();
      return c.json(exchange.response(choices, usage.body) as Record<string, unknown>);
    }

    const first = await events.next();
    if (first.done === true || first.value.type !== 'accepted') {
      throw new StarlingError('internal', 'the text service answered before it accepted the request');
    }
    usage.add(first.value);
    isStreaming = true;
    const unfinished = new Set(Array(exchange.prompts * exchange.answersToPrompt).keys());
    const body = eventStream({
      scope,
      log: api.log,
      keepAliveMs: api.keepAliveMs,
      stalledClientMs: api.stalledClientMs,
      idleEvent: () => {
        const [choice] = unfinished;
        return choice === undefined ? null : exchange.idleChunk(choice);
      },
      produce: async (send) => {
        try {
          for (const chunk of exchange.opening()) await send(chunk);
          for await (const event of events) {
            usage.add(event);
            if (event.type === 'accepted') continue;
            if (event.type === 'end') unfinished.delete(event.choice);
            for (const chunk of exchange.chunks(event)) await send(chunk);
          }
        } finally {
          // The opening may fail before the loop owns the events.
          await events.return();
        }
        logDone();
        if (exchange.includeUsage) await send(exchange.usageChunk(usage.body));
      },
    });
    return c.body(body, 200, EVENT_STREAM_HEADERS);
  } finally {
    if (!isStreaming) scope.dispose();
  }
}
