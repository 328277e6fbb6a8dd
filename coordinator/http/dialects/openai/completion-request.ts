import { z } from 'zod';
import { StarlingError } from '../../../../daemon/errors.ts';
import type { Gap } from '../../../generation/fill-in-the-middle.ts';
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
  suffix: z.string().nullish(),
});

export interface CompletionRequest {
  readonly model: string | null;
  readonly prompts: readonly TextInput[];
  /** What is to be filled in between each prompt and the suffix; null where prompts are continued. */
  readonly gaps: readonly Gap[] | null;
  readonly settings: TextSettings;
  /** Repeat the prompt before each answer, with its log probabilities where those of the answer are asked for. */
  readonly echo: boolean;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** @throws StarlingError invalid_request, unsupported_parameter for what there is of prompts alone */
function gapsOf(prompts: readonly TextInput[], suffix: string | null | undefined, echo: boolean): Gap[] | null {
  if (typeof suffix !== 'string' || suffix === '') return null;
  if (echo) {
    throw new StarlingError('unsupported_parameter', `'echo' is not supported beside 'suffix'; leave it out`, {
      param: 'echo',
    });
  }
  return prompts.map((before) => {
    if (typeof before === 'string') return { before, after: suffix };
    throw new StarlingError('invalid_request', `'prompt' is token ids, and 'suffix' a text; give both as texts`, {
      param: 'prompt',
    });
  });
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
  const prompts = inputList(fields.prompt);
  return {
    model: fields.model ?? null,
    prompts,
    gaps: gapsOf(prompts, fields.suffix, echo),
    settings: { ...textSettings(fields, own, origin), ...(format === undefined ? {} : { format }) },
    echo,
    stream: fields.stream === true,
    includeUsage: fields.stream_options?.include_usage === true,
  };
}
