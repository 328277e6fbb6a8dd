import type { GenerationUsage } from '../../../generation/events.ts';

/** Token counts in the shape of OpenAI's API. */
export interface UsageBody {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Of the prompt: tokens that had been computed before, for an earlier turn or another request. */
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  /** Of the completion, where it has any: tokens of the reasoning. */
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
}

export function usageBody({
  promptTokens,
  completionTokens,
  cachedTokens,
  reasoningTokens,
}: GenerationUsage): UsageBody {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    ...(reasoningTokens > 0 ? { completion_tokens_details: { reasoning_tokens: reasoningTokens } } : {}),
  };
}
