import { z } from 'zod';
import type { EmbeddingOptions } from '../../../generation/embedding.ts';
import { MAX_INPUTS } from '../../request-limits.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import { validate } from '../../validation.ts';
import { checkFields, checkGiven } from './check-fields.ts';
import { STANDING_FIELDS, standingOf } from './text-fields.ts';
import { inputList, type TextInput, textInputs } from './text-inputs.ts';

const embeddingBody = z.object({
  model: z.string().nullish(),
  input: textInputs(MAX_INPUTS),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  // Which there are depends on the model.
  dimensions: z.number().nullish(),
  pooling: z.enum(['mean', 'last']).nullish(),
  ...STANDING_FIELDS,
});

export interface EmbeddingRequest {
  readonly model: string | null;
  readonly inputs: readonly TextInput[];
  readonly options: EmbeddingOptions;
  readonly isBase64: boolean;
}

/**
 * Reads the body of POST /v1/embeddings.
 * @throws StarlingError unsupported_parameter, invalid_request
 */
export function parseEmbeddingRequest(
  body: Readonly<Record<string, unknown>>,
  origin: RequestOrigin,
): EmbeddingRequest {
  checkFields('embeddings', body);
  checkGiven(body, 'input', 'give the text to embed');
  const fields = validate(embeddingBody, body);
  return {
    model: fields.model ?? null,
    inputs: inputList(fields.input),
    options: {
      pooling: fields.pooling ?? null,
      dimensions: fields.dimensions ?? null,
      standing: standingOf(fields, origin),
    },
    isBase64: fields.encoding_format === 'base64',
  };
}
