import type { Handler } from 'hono';
import type { FinishReason, TokenEvent } from '../generation/answer.ts';
import type { TextService } from '../generation/text-service.ts';
import type { ApiContext } from './api-context.ts';
import { parseChatRequest } from './chat-request.ts';
import { readJsonObject } from './json-body.ts';
import { checkModel } from './models.ts';
import { requestOrigin } from './request-origin.ts';
import { exchangeText, type FinishedChoice } from './text-exchange.ts';
import type { UsageBody } from './usage.ts';

/** Log probabilities of one token in the shape of OpenAI's chat API. */
function tokenLogprobs(service: TextService, { logprobs }: TokenEvent): unknown {
  if (logprobs === undefined) return undefined;
  const describe = ({ token, logprob }: { token: number; logprob: number }) => {
    const { text, bytes } = service.describeToken(token);
    return { token: text, logprob, bytes: [...bytes] };
  };
  return { ...describe(logprobs), top_logprobs: logprobs.top.map(describe) };
}

function choiceLogprobs(service: TextService, tokens: readonly TokenEvent[], isAsked: boolean): unknown {
  return isAsked ? { content: tokens.map((token) => tokenLogprobs(service, token)), refusal: null } : null;
}

/** POST /v1/chat/completions */
export function chatCompletions(api: ApiContext): Handler {
  const { service } = api;
  return async (c) => {
    const body = await readJsonObject(c);
    const request = parseChatRequest(body, requestOrigin(c, api));
    api.unknownFields.tell('chat', body);
    checkModel(request.model, service);
    const { settings } = request;
    const hasLogprobs = settings.logprobs !== null;
    const base = { id: `chatcmpl-${api.uniqueId()}`, created: api.unixTime(), model: service.modelId };
    const usageOfChunk = request.includeUsage ? { usage: null } : {};
    const chunk = (index: number, delta: object, logprobs: unknown, finish_reason: FinishReason | null) => ({
      ...base,
      object: 'chat.completion.chunk',
      choices: [{ index, delta, logprobs, finish_reason }],
      ...usageOfChunk,
    });
    const reasoningOf = ({ reasoning }: { readonly reasoning: string }): object =>
      reasoning === '' || !request.includeReasoning ? {} : { reasoning_content: reasoning };
    const choice = ({ index, text, reasoning, tokens, finishReason }: FinishedChoice) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null, ...reasoningOf({ reasoning }) },
      logprobs: choiceLogprobs(service, tokens, hasLogprobs),
      finish_reason: finishReason,
    });

    return exchangeText(c, api, {
      begin: (signal) => service.chat(request.messages, settings, signal, request),
      prompts: 1,
      answersToPrompt: settings.choices,
      stream: request.stream,
      includeUsage: request.includeUsage,
      response: (choices, usage) => ({
        ...base,
        object: 'chat.completion',
        choices: choices.map(choice),
        usage,
      }),
      opening: () =>
        Array.from({ length: settings.choices }, (_, index) =>
          chunk(index, { role: 'assistant', content: '', refusal: null }, null, null),
        ),
      chunks: (event) => {
        const logprobs = event.type === 'token' ? choiceLogprobs(service, [event], hasLogprobs) : null;
        // Clients look for one or the other: a chunk has only one of them, and the first has what is told of the token.
        const reasoning = reasoningOf(event);
        const deltas = [reasoning, { content: event.text }].filter((delta) => Object.values(delta).some(Boolean));
        if (deltas.length === 0 && logprobs !== null) deltas.push({ content: '' });
        return [
          ...deltas.map((delta, i) => chunk(event.choice, delta, i === 0 ? logprobs : null, null)),
          ...(event.type === 'end' ? [chunk(event.choice, {}, null, event.finishReason)] : []),
        ];
      },
      idleChunk: (index) => chunk(index, { content: '' }, null, null),
      usageChunk: (usage: UsageBody) => ({ ...base, object: 'chat.completion.chunk', choices: [], usage }),
    });
  };
}
