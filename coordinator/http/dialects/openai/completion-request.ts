import { z } from 'zod';
import { StarlingError } from '../../../../daemon/errors.ts';
import type { TextSettings } from '../../../generation/text-service.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import { validate } from '../../validation.ts';
import { checkFields } from './check-fields.ts';
import { FORMAT_FIELDS, outputFormat } from './output-format.ts';
import { limitOf, MAX_TOP_LOGPROBS, optionalCount, TEXT_FIELDS, textSettings } from './text-fields.ts';

const MAX_PROMPTS = 64;
/** OpenAI's default for this endpoint. */
const DEFAULT_MAX_TOKENS = 16;

const tokenIds = z.array(z.int().min(0)).min(1);

const completionBody = z.object({
  ...TEXT_FIELDS,
  ...FORMAT_FIELDS,
  prompt: z.union(
    [z.string(), tokenIds, z.array(z.string()).min(1).max(MAX_PROMPTS), z.array(tokenIds).min(1).max(MAX_PROMPTS)],
    {
      error: `expected a text, token ids, or a list of up to ${MAX_PROMPTS} of either`,
    },
  ),
  logprobs: optionalCount(0, MAX_TOP_LOGPROBS),
  echo: z.boolean().nullish(),
});

export interface CompletionRequest {
  readonly model: string | null;
  readonly prompts: readonly (string | readonly number[])[];
  readonly settings: TextSettings;
  /** Repeat the prompt before each answer. */
  readonly echo: boolean;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

function promptList(prompt: z.output<typeof completionBody>['prompt']): (string | number[])[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as (string | number[])[]);
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
  if (body.echo === true && typeof body.logprobs === 'number') {
    const message = `'echo' is not supported here with 'logprobs': log probabilities of the prompt are not computed; leave out one of them`;
    throw new StarlingError('unsupported_parameter', message, { param: 'echo' });
  }
  if (body.prompt === undefined || body.prompt === null) {
    throw new StarlingError('invalid_request', `'prompt' is missing; give the text to continue`, { param: 'prompt' });
  }
  const fields = validate(completionBody, body);
  const own = {
    maxTokens: limitOf([fields.max_tokens, fields.n_predict], DEFAULT_MAX_TOKENS),
    logprobs: fields.logprobs ?? null,
  };
  const format = outputFormat(fields);
  return {
    model: fields.model ?? null,
    prompts: promptList(fields.prompt),
    settings: { ...textSettings(fields, own, origin), ...(format === undefined ? {} : { format }) },
    echo: fields.echo === true,
    stream: fields.stream === true,
    includeUsage: fields.stream_options?.include_usage === true,
  };
}
