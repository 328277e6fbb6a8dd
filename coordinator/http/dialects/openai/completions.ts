import type { Handler } from 'hono';
import type { FinishReason, TokenEvent } from '../../../generation/answer.ts';
import type { TextService } from '../../../generation/text-service.ts';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { requestOrigin } from '../../request-origin.ts';
import { checkModel } from '../../served-model.ts';
import { exchangeText, type FinishedChoice } from '../../text-exchange.ts';
import { unknownFields } from './check-fields.ts';
import { parseCompletionRequest } from './completion-request.ts';
import { chunkStream } from './framing.ts';
import { usageBody } from './usage.ts';

/**
 * Log probabilities of a run of tokens in the shape of OpenAI's completion API.
 * @param offset characters of the choice's text before the first of the tokens
 */
function listLogprobs(service: TextService, tokens: readonly TokenEvent[], offset: number): unknown {
  let at = offset;
  const text_offset = tokens.map(({ text }) => {
    at += text.length;
    return at - text.length;
  });
  return {
    tokens: tokens.map(({ token }) => service.describeToken(token).text),
    token_logprobs: tokens.map(({ logprobs }) => logprobs?.logprob ?? null),
    top_logprobs: tokens.map(({ logprobs }) => {
      const named = (logprobs?.top ?? []).map(({ token, logprob }) => [service.describeToken(token).text, logprob]);
      // Several partial characters share a name: the likeliest of them, which is listed first, is the one to keep.
      return Object.fromEntries(named.reverse());
    }),
    text_offset,
  };
}

/** POST /v1/completions */
export function completions(api: ApiContext): Handler {
  const { service } = api;
  return async (c) => {
    const body = await readJsonObject(c);
    const request = parseCompletionRequest(body, requestOrigin(c, api));
    api.unknownFields.tell(unknownFields('completions', body));
    checkModel(request.model, service);
    const { settings } = request;
    const hasLogprobs = settings.logprobs !== null;
    const base = {
      id: `cmpl-${api.uniqueId()}`,
      object: 'text_completion',
      created: api.unixTime(),
      model: service.modelId,
    };
    const echoed = request.echo ? request.prompts.map((prompt) => service.promptText(prompt)) : [];
    const echoOf = (index: number): string => echoed[Math.floor(index / settings.choices)] ?? '';
    const offsets = new Map<number, number>();
    const usageOfChunk = request.includeUsage ? { usage: null } : {};
    const chunk = (index: number, text: string, logprobs: unknown, finish_reason: FinishReason | null) => ({
      ...base,
      choices: [{ text, index, logprobs, finish_reason }],
      ...usageOfChunk,
    });
    const choice = ({ index, text, tokens, finishReason }: FinishedChoice) => ({
      text: echoOf(index) + text,
      index,
      logprobs: hasLogprobs ? listLogprobs(service, tokens, 0) : null,
      finish_reason: finishReason,
    });

    const stream = chunkStream({
      opening: () =>
        request.prompts
          .flatMap((_, prompt) => Array.from({ length: settings.choices }, (_, i) => prompt * settings.choices + i))
          .filter((index) => echoOf(index) !== '')
          .map((index) => chunk(index, echoOf(index), null, null)),
      event: (event) => {
        const offset = offsets.get(event.choice) ?? 0;
        offsets.set(event.choice, offset + event.text.length);
        if (event.type === 'end') return [chunk(event.choice, event.text, null, event.finishReason)];
        if (event.text === '' && !hasLogprobs) return [];
        const logprobs = hasLogprobs ? listLogprobs(service, [event], offset) : null;
        return [chunk(event.choice, event.text, logprobs, null)];
      },
      idle: (index) => chunk(index, '', null, null),
      usage: request.includeUsage ? (usage) => ({ ...base, choices: [], usage }) : null,
    });

    return exchangeText(c, api, {
      begin: (signal) => service.complete(request.prompts, settings, signal),
      prompts: request.prompts.length,
      answersToPrompt: settings.choices,
      stream: request.stream ? stream : null,
      response: (choices, usage) => ({ ...base, choices: choices.map(choice), usage: usageBody(usage) }),
    });
  };
}
