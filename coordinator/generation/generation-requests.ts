import type { GenerationRequest } from './answer.ts';
import { choiceSeed } from './counter-random.ts';
import type { AnswerForm } from './read-conversation.ts';
import type { TextSettings } from './text-service.ts';

/** A request for each answer to each prompt, those to one prompt together, and each with a seed of its own. */
export function generationRequests(
  prompts: readonly (readonly number[])[],
  settings: TextSettings,
  form: AnswerForm,
): GenerationRequest[] {
  return prompts.flatMap((promptTokens) =>
    Array.from({ length: settings.choices }, (_, i) => ({
      promptTokens,
      maxTokens: settings.maxTokens,
      sampling: { ...settings.sampling, seed: choiceSeed(settings.sampling.seed, i) },
      stop: settings.stop,
      ...(settings.ends === undefined ? {} : { ends: settings.ends }),
      ...form,
      ...(settings.format === undefined ? {} : { format: settings.format }),
      logprobs: settings.logprobs,
      promptLogProbs: i === 0 ? (settings.promptLogProbs ?? null) : null,
    })),
  );
}
