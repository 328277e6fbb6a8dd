import type { TokenEvent } from '../../../generation/answer.ts';
import type { LogProbabilities } from '../../../generation/log-probabilities.ts';
import type { TextService } from '../../../generation/text-service.ts';

/** A token of a choice's text. */
export interface ListedToken {
  readonly token: number;
  /** Characters of the text before it. */
  readonly offset: number;
  /** Null for the first one of a prompt, which nothing foretells. */
  readonly logprobs: LogProbabilities | null;
}

/** @param offset characters of the choice's text before the first of the tokens */
export function answerTokens(tokens: readonly TokenEvent[], offset: number): ListedToken[] {
  let at = offset;
  return tokens.map(({ token, text, logprobs }) => {
    at += text.length;
    return { token, offset: at - text.length, logprobs: logprobs ?? null };
  });
}

/** @param judged of all tokens of the prompt but the first */
export function promptTokens(
  service: TextService,
  prompt: string | readonly number[],
  judged: readonly LogProbabilities[],
): ListedToken[] {
  const tokens = service.promptTokens(prompt);
  const offsets = service.tokenOffsets(tokens, service.promptText(prompt));
  return tokens.map((token, i) => ({ token, offset: offsets[i]!, logprobs: judged[i - 1] ?? null }));
}

/** Log probabilities of a run of tokens in the shape of OpenAI's completion API. */
export function listLogprobs(service: TextService, tokens: readonly ListedToken[]): object {
  return {
    tokens: tokens.map(({ token }) => service.describeToken(token).text),
    token_logprobs: tokens.map(({ logprobs }) => logprobs?.logprob ?? null),
    top_logprobs: tokens.map(({ logprobs }) => {
      if (logprobs === null) return null;
      const named = logprobs.top.map(({ token, logprob }) => [service.describeToken(token).text, logprob]);
      // Several partial characters share a name: the likeliest of them, which is listed first, is the one to keep.
      return Object.fromEntries(named.reverse());
    }),
    text_offset: tokens.map(({ offset }) => offset),
  };
}
