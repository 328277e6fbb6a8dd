import type { FinishReason, TokenEvent } from '../../../../generation/answer.ts';
import { answerPieces } from '../../../../generation/answer-pieces.ts';
import type { GenerationUsage } from '../../../../generation/events.ts';
import { EVENT_STREAM_HEADERS, serverSentEvent } from '../../../server-sent-events.ts';
import type { FinishedChoice, StreamWords } from '../../../text-exchange.ts';
import { openai } from '../dialect.ts';
import { signOfLife } from '../framing.ts';
import type { NewItemId, OutputItem } from './items.ts';
import { type ResponseEvent, ResponseOutput } from './output.ts';

/** What a response has from its beginning to its end. */
export interface ResponseHead {
  readonly id: string;
  readonly model: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /** What it repeats of its request. */
  readonly echo: object;
}

/** How a response is worded. */
export interface ResponseWording {
  readonly head: ResponseHead;
  readonly newId: NewItemId;
  /** Log probabilities of a token; null where nobody asked for them. */
  readonly logprobs: (token: TokenEvent) => object | null;
  readonly unixTime: () => number;
}

/** A response as clients are shown it. */
export interface ResponseBody {
  readonly id: string;
  readonly output: readonly OutputItem[];
  readonly [field: string]: unknown;
}

function usageBody({ promptTokens, cachedTokens, completionTokens, reasoningTokens }: GenerationUsage): object {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  };
}

/** @param changed what is not as it is while the answer is being written */
const bodyOf = ({ id, createdAt, model, echo }: ResponseHead, changed: object = {}): ResponseBody => ({
  id,
  object: 'response',
  created_at: createdAt,
  completed_at: null,
  status: 'in_progress',
  error: null,
  incomplete_details: null,
  model,
  output: [],
  ...echo,
  ...changed,
});

/** A response whose answer is over. */
function endedBody(
  { head, unixTime }: ResponseWording,
  output: readonly OutputItem[],
  reason: FinishReason,
  usage: GenerationUsage,
): ResponseBody {
  const end =
    reason === 'length'
      ? { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }
      : { status: 'completed', completed_at: unixTime() };
  return bodyOf(head, { ...end, output, usage: usageBody(usage) });
}

const statusOf = (reason: FinishReason) => (reason === 'length' ? 'incomplete' : 'completed');

/** A whole response. */
export function wholeResponse(wording: ResponseWording, answer: FinishedChoice, usage: GenerationUsage): ResponseBody {
  const { tokens, last, finishReason } = answer;
  const output = new ResponseOutput(wording.newId);
  for (const token of tokens) output.take(answerPieces(token), wording.logprobs(token));
  output.take(answerPieces(last), null);
  output.end(statusOf(finishReason));
  return endedBody(wording, output.items, finishReason, usage);
}

/**
 * A response as named events, numbered in their order. One that fails is told so twice: as a response, and as an error
 * on which clients stop.
 * @param onEnd is given the response when it is whole
 */
export function responseEvents(wording: ResponseWording, onEnd: (response: ResponseBody) => void): StreamWords {
  const { head } = wording;
  const output = new ResponseOutput(wording.newId);
  let sequence = 0;
  let finishReason: FinishReason = 'stop';
  const framed = ({ type, ...rest }: ResponseEvent): string =>
    serverSentEvent({ type, sequence_number: sequence++, ...rest }, type);
  const inProgress = (): string => framed({ type: 'response.in_progress', response: bodyOf(head) });
  return {
    headers: EVENT_STREAM_HEADERS,
    opening: () => [framed({ type: 'response.created', response: bodyOf(head) }), inProgress()],
    event: (event) => {
      if (event.type === 'end') finishReason = event.finishReason;
      return output.take(answerPieces(event), event.type === 'token' ? wording.logprobs(event) : null).map(framed);
    },
    closing: (usage) => {
      const events = output.end(statusOf(finishReason)).map(framed);
      const response = endedBody(wording, output.items, finishReason, usage);
      onEnd(response);
      return [...events, framed({ type: `response.${statusOf(finishReason)}`, response })];
    },
    idle: () => signOfLife(inProgress()),
    failed: (error) => {
      const { code, message, param = null } = error;
      const failed = { status: 'failed', error: { code: 'server_error', message }, output: output.items };
      // Clients throw what has an `error`; others read the fields beside it.
      const told = { type: 'error', code, message, param, ...openai.errorBody(error) };
      return framed({ type: 'response.failed', response: bodyOf(head, failed) }) + framed(told);
    },
  };
}
