import { z } from 'zod';
import type { TextSettings } from '../../../generation/text-service.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import { validate } from '../../validation.ts';
import { checkFields, checkGiven } from './check-fields.ts';
import { FORMAT_FIELDS, outputFormat } from './output-format.ts';
import { limitOf, MAX_TOP_LOGPROBS, optionalCount, TEXT_FIELDS, textSettings } from './text-fields.ts';
import { inputList, type TextInput, textInputs } from './text-inputs.ts';

const MAX_PROMPTS = 64;
/** OpenAI's default for this endpoint. */
const DEFAULT_MAX_TOKENS = 16;

const completionBody = z.object({
  ...TEXT_FIELDS,
  ...FORMAT_FIELDS,
  prompt: textInputs(MAX_PROMPTS),
  logprobs: optionalCount(0, MAX_TOP_LOGPROBS),
  echo: z.boolean().nullish(),
});

export interface CompletionRequest {
  readonly model: string | null;
  readonly prompts: readonly TextInput[];
  readonly settings: TextSettings;
  /** Repeat the prompt before each answer, with its log probabilities where those of the answer are asked for. */
  readonly echo: boolean;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/**
 * Reads the body of POST /v1/completions.
 * @throws StarlingError unsupported_parameter, invalid_request
 */
export function parseCompletionRequest(
  body: Readonly<Record<string, unknown>>,
  origin: RequestOrigin,
): CompletionRequest {
  checkFields('completions', body);
  checkGiven(body, 'prompt', 'give the text to continue');
  const fields = validate(completionBody, body);
  const echo = fields.echo === true;
  const logprobs = fields.logprobs ?? null;
  const own = {
    maxTokens: limitOf([fields.max_tokens, fields.n_predict], DEFAULT_MAX_TOKENS),
    logprobs,
    promptLogProbs: echo ? logprobs : null,
  };
  const format = outputFormat(fields);
  return {
    model: fields.model ?? null,
    prompts: inputList(fields.prompt),
    settings: { ...textSettings(fields, own, origin), ...(format === undefined ? {} : { format }) },
    echo,
    stream: fields.stream === true,
    includeUsage: fields.stream_options?.include_usage === true,
  };
}
