import type { Context } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import type { FinishReason, TokenEvent } from '../generation/answer.ts';
import { answerPieces } from '../generation/answer-pieces.ts';
import type { SplitText } from '../generation/answer-split.ts';
import type { GenerationTimings, GenerationUsage } from '../generation/events.ts';
import type { LogProbabilities } from '../generation/log-probabilities.ts';
import type { TextEvent } from '../generation/text-service.ts';
import type { CallEvent } from '../generation/tool-calls/call-events.ts';
import type { ApiContext } from './api-context.ts';
import { responseStream } from './response-stream.ts';
import { UsageCount } from './usage-count.ts';

/** What happens to one choice. */
export type ChoiceEvent = Exclude<TextEvent, { type: 'accepted' }>;

/** A finished choice, as a response that is not streamed shows it. */
export interface FinishedChoice {
  readonly index: number;
  readonly text: string;
  /** What came before the answer, where it is told apart. */
  readonly reasoning: string;
  /** The pieces of all calls, in order. */
  readonly calls: readonly CallEvent[];
  readonly tokens: readonly TokenEvent[];
  /** What was certain at the end only. */
  readonly last: SplitText;
  /** Where they were asked for: those of the first choice of each prompt. */
  readonly promptLogProbs?: readonly LogProbabilities[];
  readonly finishReason: FinishReason;
  /** Which of the request's stop texts ended it; left out where none did. */
  readonly stopText?: string;
  readonly timings: GenerationTimings;
}

/** How a dialect words a stream: each function gives framed text, in pieces that may be sent one after the other. */
export interface StreamWords {
  readonly headers: Readonly<Record<string, string>>;
  /** Before any token. @param promptTokens of all prompts together */
  readonly opening: (promptTokens: number) => string[];
  /** What an event is worth: nothing while its text is held back. */
  readonly event: (event: ChoiceEvent) => string[];
  /** After the last event. */
  readonly closing: (usage: GenerationUsage) => string[];
  /** What adds nothing to a choice that is not finished, for silences. */
  readonly idle: (choice: number) => string;
  /** The end of a stream that fails on the way. */
  readonly failed: (error: StarlingError) => string;
}

/** A text request, and how one route words what the text service reports of it. */
export interface TextExchange {
  /** Begins the work, which ends when the signal aborts. */
  readonly begin: (signal: AbortSignal) => AsyncGenerator<TextEvent, void, undefined>;
  readonly prompts: number;
  /** Choices of each prompt. */
  readonly answersToPrompt: number;
  /** Null for a response that comes whole. */
  readonly stream: StreamWords | null;
  /** The whole response. */
  readonly response: (choices: readonly FinishedChoice[], usage: GenerationUsage) => object;
}

/** A choice that is being collected. */
interface OpenChoice {
  text: string;
  reasoning: string;
  readonly calls: CallEvent[];
  readonly tokens: TokenEvent[];
  promptLogProbs?: readonly LogProbabilities[];
}

async function collect(
  events: AsyncGenerator<TextEvent, void, undefined>,
  usage: UsageCount,
): Promise<FinishedChoice[]> {
  const open = new Map<number, OpenChoice>();
  const finished: FinishedChoice[] = [];
  for await (const event of events) {
    usage.add(event);
    if (event.type === 'accepted') continue;
    const { choice } = event;
    const now: OpenChoice = open.get(choice) ?? { text: '', reasoning: '', calls: [], tokens: [] };
    open.set(choice, now);
    if (event.promptLogProbs !== undefined) now.promptLogProbs = event.promptLogProbs;
    for (const piece of answerPieces(event)) {
      if (piece.type === 'text' || piece.type === 'reasoning') now[piece.type] += piece.text;
      else now.calls.push(piece);
    }
    if (event.type === 'end') {
      const { finishReason, stopText, timings } = event;
      const end = { finishReason, timings, ...(stopText === undefined ? {} : { stopText }) };
      finished.push({ index: choice, ...now, ...end, last: event });
    } else {
      now.tokens.push(event);
    }
  }
  return finished.sort((a, b) => a.index - b.index);
}

/**
 * Carries out a text request and answers it, whole or streamed. A client that disconnects ends the work at once,
 * whether it waits or runs. Errors up to the place in the queue have a status of their own, also when streaming.
 */
export async function exchangeText(c: Context, api: ApiContext, exchange: TextExchange): Promise<Response> {
  const { stream } = exchange;
  const scope = api.scopes.open(c.req.raw.signal);
  const started = performance.now();
  const usage = new UsageCount(exchange.answersToPrompt);
  const logDone = (): void => {
    const ms = Math.round(performance.now() - started);
    api.log.info({ path: c.req.path, stream: stream !== null, ...usage.total, ms }, 'answered');
  };
  let isStreaming = false;
  try {
    const events = exchange.begin(scope.signal);
    if (stream === null) {
      const choices = await collect(events, usage);
      logDone();
      return c.json(exchange.response(choices, usage.total));
    }

    const first = await events.next();
    if (first.done === true || first.value.type !== 'accepted') {
      throw new StarlingError('internal', 'the text service answered before it accepted the request');
    }
    const { promptTokens } = first.value;
    usage.add(first.value);
    isStreaming = true;
    const unfinished = new Set(Array(exchange.prompts * exchange.answersToPrompt).keys());
    const body = responseStream({
      scope,
      log: api.log,
      keepAliveMs: api.keepAliveMs,
      stalledClientMs: api.stalledClientMs,
      failed: stream.failed,
      signOfLife: () => {
        const [choice] = unfinished;
        return choice === undefined ? null : stream.idle(choice);
      },
      produce: async (send) => {
        try {
          for (const text of stream.opening(promptTokens)) await send(text);
          for await (const event of events) {
            usage.add(event);
            if (event.type === 'accepted') continue;
            if (event.type === 'end') unfinished.delete(event.choice);
            for (const text of stream.event(event)) await send(text);
          }
        } finally {
          // The opening may fail before the loop owns the events.
          await events.return();
        }
        logDone();
        for (const text of stream.closing(usage.total)) await send(text);
      },
    });
    return c.body(body, 200, stream.headers);
  } finally {
    if (!isStreaming) scope.dispose();
  }
}
