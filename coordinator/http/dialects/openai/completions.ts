import type { Handler } from 'hono';
import type { FinishReason } from '../../../generation/answer.ts';
import type { LogProbabilities } from '../../../generation/log-probabilities.ts';
import type { ApiContext } from '../../api-context.ts';
import { type ChoiceEvent, exchangeText, type FinishedChoice } from '../../text-exchange.ts';
import { answerTokens, type ListedToken, listLogprobs, promptTokens } from './completion-logprobs.ts';
import { parseCompletionRequest } from './completion-request.ts';
import { chunkStream } from './framing.ts';
import { PromptsFirst } from './prompts-first.ts';
import { readRequest } from './read-request.ts';
import { usageBody } from './usage.ts';

/** POST /v1/completions */
export function completions(api: ApiContext): Handler {
  const { service } = api;
  return async (c) => {
    const request = await readRequest(c, api, 'completions', parseCompletionRequest);
    const { settings } = request;
    const hasLogprobs = settings.logprobs !== null;
    const base = {
      id: `cmpl-${api.uniqueId()}`,
      object: 'text_completion',
      created: api.unixTime(),
      model: service.modelId,
      system_fingerprint: api.facts.fingerprint,
    };
    const echoed = request.echo ? request.prompts.map((prompt) => service.promptText(prompt)) : [];
    const promptOf = (index: number): number => Math.floor(index / settings.choices);
    const echoOf = (index: number): string => echoed[promptOf(index)] ?? '';
    const answersTo = (prompt: number): number[] =>
      Array.from({ length: settings.choices }, (_, i) => prompt * settings.choices + i);
    const judgedTokens = (prompt: number, judged: readonly LogProbabilities[]): ListedToken[] =>
      promptTokens(service, request.prompts[prompt]!, judged);
    const usageOfChunk = request.includeUsage ? { usage: null } : {};
    const chunk = (index: number, text: string, logprobs: unknown, finish_reason: FinishReason | null) => ({
      ...base,
      choices: [{ text, index, logprobs, finish_reason }],
      ...usageOfChunk,
    });
    const choice = ({ index, text, tokens, finishReason }: FinishedChoice, judged: readonly ListedToken[]) => ({
      text: echoOf(index) + text,
      index,
      logprobs: hasLogprobs ? listLogprobs(service, [...judged, ...answerTokens(tokens, echoOf(index).length)]) : null,
      finish_reason: finishReason,
    });
    const wholeChoices = (choices: readonly FinishedChoice[]): object[] => {
      const judged = request.prompts.map((_, prompt) => {
        const { promptLogProbs } = choices[prompt * settings.choices]!;
        return promptLogProbs === undefined ? [] : judgedTokens(prompt, promptLogProbs);
      });
      return choices.map((each) => choice(each, judged[promptOf(each.index)]!));
    };

    const offsets = new Map<number, number>();
    const eventChunks = (event: ChoiceEvent): object[] => {
      const offset = offsets.get(event.choice) ?? echoOf(event.choice).length;
      offsets.set(event.choice, offset + event.text.length);
      if (event.type === 'end') return [chunk(event.choice, event.text, null, event.finishReason)];
      if (event.text === '' && !hasLogprobs) return [];
      const logprobs = hasLogprobs ? listLogprobs(service, answerTokens([event], offset)) : null;
      return [chunk(event.choice, event.text, logprobs, null)];
    };
    const echoesLogprobs = request.echo && hasLogprobs;
    const promptsFirst = new PromptsFirst(echoesLogprobs ? request.prompts.length : 0);
    const stream = chunkStream({
      opening: () =>
        (echoesLogprobs ? [] : request.prompts)
          .flatMap((_, prompt) => answersTo(prompt))
          .filter((index) => echoOf(index) !== '')
          .map((index) => chunk(index, echoOf(index), null, null)),
      event: (event) => {
        const prompt = promptOf(event.choice);
        const { judged, events } = promptsFirst.take(event, prompt);
        const logprobs = judged === null ? null : listLogprobs(service, judgedTokens(prompt, judged));
        const echoes =
          logprobs === null ? [] : answersTo(prompt).map((index) => chunk(index, echoOf(index), logprobs, null));
        return [...echoes, ...events.flatMap(eventChunks)];
      },
      idle: (index) => chunk(index, '', null, null),
      usage: request.includeUsage ? (usage) => ({ ...base, choices: [], usage }) : null,
    });

    return exchangeText(c, api, {
      begin: (signal) => service.complete(request.gaps ?? request.prompts, settings, signal),
      prompts: request.prompts.length,
      answersToPrompt: settings.choices,
      stream: request.stream ? stream : null,
      response: (choices, usage) => ({ ...base, choices: wholeChoices(choices), usage: usageBody(usage) }),
    });
  };
}
