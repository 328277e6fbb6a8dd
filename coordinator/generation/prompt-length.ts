import { StarlingError } from '../../daemon/errors.ts';

/**
 * Refuses prompts that cannot be computed.
 * @param param the request parameter that the prompt came from, for the error
 * @throws StarlingError context_length_exceeded
 */
export function checkPromptLength(promptTokens: number, contextLength: number, param = 'prompt'): void {
  if (promptTokens === 0) {
    throw new StarlingError(
      'context_length_exceeded',
      `the prompt has 0 tokens and the context holds 1 to ${contextLength}; send some text`,
      { param },
    );
  }
  if (promptTokens > contextLength) {
    throw new StarlingError(
      'context_length_exceeded',
      `the prompt has ${promptTokens} tokens, but the context of this model holds ${contextLength}; shorten it`,
      { param },
    );
  }
}
