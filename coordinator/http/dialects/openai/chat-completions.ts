import type { Handler } from 'hono';
import type { FinishReason, TokenEvent } from '../../../generation/answer.ts';
import { type AnswerPiece, answerPieces } from '../../../generation/answer-pieces.ts';
import type { TextService } from '../../../generation/text-service.ts';
import type { ApiContext } from '../../api-context.ts';
import { collectCalls } from '../../collect-calls.ts';
import { exchangeText, type FinishedChoice } from '../../text-exchange.ts';
import { parseChatRequest } from './chat-request.ts';
import { chunkStream } from './framing.ts';
import { readRequest } from './read-request.ts';
import { usageBody } from './usage.ts';

/** Log probabilities of one token in the shape of OpenAI's chat API. */
export function tokenLogprobs(service: TextService, { logprobs }: TokenEvent): object | null {
  if (logprobs === undefined) return null;
  const describe = ({ token, logprob }: { token: number; logprob: number }) => {
    const { text, bytes } = service.describeToken(token);
    return { token: text, logprob, bytes: [...bytes] };
  };
  return { ...describe(logprobs), top_logprobs: logprobs.top.map(describe) };
}

function choiceLogprobs(service: TextService, tokens: readonly TokenEvent[], isAsked: boolean): unknown {
  return isAsked ? { content: tokens.map((token) => tokenLogprobs(service, token)), refusal: null } : null;
}

/** What a piece of an answer is in a streamed message; null for what needs no word. */
export function pieceDelta(piece: AnswerPiece): object | null {
  switch (piece.type) {
    case 'reasoning':
      return { reasoning_content: piece.text };
    case 'text':
      return { content: piece.text };
    case 'begin': {
      const { index, id, name } = piece;
      return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
    }
    case 'arguments':
      return { tool_calls: [{ index: piece.index, function: { arguments: piece.delta } }] };
    case 'end':
      return null;
  }
}

/** A whole message of the assistant. */
export function choiceMessage({
  text,
  reasoning,
  calls,
}: Pick<FinishedChoice, 'text' | 'reasoning' | 'calls'>): object {
  const toolCalls = collectCalls(calls).map(({ id, name, text: args }) => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  }));
  return {
    role: 'assistant',
    content: text === '' && toolCalls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
  };
}

/** POST /v1/chat/completions */
export function chatCompletions(api: ApiContext): Handler {
  const { service } = api;
  return async (c) => {
    const request = await readRequest(c, api, 'chat', parseChatRequest);
    const { settings } = request;
    const hasLogprobs = settings.logprobs !== null;
    const base = {
      id: `chatcmpl-${api.uniqueId()}`,
      created: api.unixTime(),
      model: service.modelId,
      system_fingerprint: api.facts.fingerprint,
    };
    const usageOfChunk = request.includeUsage ? { usage: null } : {};
    const chunk = (index: number, delta: object, logprobs: unknown, finish_reason: FinishReason | null) => ({
      ...base,
      object: 'chat.completion.chunk',
      choices: [{ index, delta, logprobs, finish_reason }],
      ...usageOfChunk,
    });
    const shown = <T extends { readonly reasoning: string }>(said: T): T =>
      request.includeReasoning ? said : { ...said, reasoning: '' };
    const choice = (finished: FinishedChoice) => ({
      index: finished.index,
      message: choiceMessage(shown(finished)),
      logprobs: choiceLogprobs(service, finished.tokens, hasLogprobs),
      finish_reason: finished.finishReason,
    });
    const stream = chunkStream({
      opening: () =>
        Array.from({ length: settings.choices }, (_, index) =>
          chunk(index, { role: 'assistant', content: '', refusal: null }, null, null),
        ),
      event: (event) => {
        const logprobs = event.type === 'token' ? choiceLogprobs(service, [event], hasLogprobs) : null;
        // Clients look for one or the other: a chunk has only one of them, and the first has what is told of the token.
        const deltas = answerPieces(shown(event)).flatMap((piece) => pieceDelta(piece) ?? []);
        if (deltas.length === 0 && logprobs !== null) deltas.push({ content: '' });
        return [
          ...deltas.map((delta, i) => chunk(event.choice, delta, i === 0 ? logprobs : null, null)),
          ...(event.type === 'end' ? [chunk(event.choice, {}, null, event.finishReason)] : []),
        ];
      },
      idle: (index) => chunk(index, { content: '' }, null, null),
      usage: request.includeUsage
        ? (usage) => ({ ...base, object: 'chat.completion.chunk', choices: [], usage })
        : null,
    });

    return exchangeText(c, api, {
      begin: (signal) => service.chat(request.conversation, settings, signal),
      prompts: 1,
      answersToPrompt: settings.choices,
      stream: request.stream ? stream : null,
      response: (choices, usage) => ({
        ...base,
        object: 'chat.completion',
        choices: choices.map(choice),
        usage: usageBody(usage),
      }),
    });
  };
}
