import { z } from 'zod';
import type { Gap } from '../../../generation/fill-in-the-middle.ts';
import type { TextSettings } from '../../../generation/text-service.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import { optionalInteger, SAMPLER_FIELDS, samplerSettings, type UsualSampling } from '../../sampler-fields.ts';
import type { UnknownNames } from '../../unknown-names.ts';
import { validate } from '../../validation.ts';

const MAX_FILES = 1024;
const MAX_NAME = 1024;

const infillBody = z.object({
  ...SAMPLER_FIELDS,
  model: z.string().max(MAX_NAME).nullish(),
  stream: z.boolean().nullish(),
  n_predict: optionalInteger(-2),
  input_prefix: z.string(),
  input_suffix: z.string(),
  input_extra: z
    .array(z.object({ text: z.string(), filename: z.string().max(MAX_NAME).nullish() }))
    .max(MAX_FILES)
    .nullish(),
  prompt: z.string().nullish(),
});

/** Editors send these with every request: when to give up and how to sample, in ways that are not needed here. */
const IGNORED: ReadonlySet<string> = new Set(
  'cache_prompt id_slot n_cache_reuse n_indent n_keep response_fields return_tokens samplers t_max_predict_ms t_max_prompt_ms'.split(
    ' ',
  ),
);

/** llama.cpp's defaults. */
const USUAL: UsualSampling = {
  temperature: 0.8,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  repeatPenalty: 1,
  repeatLastN: 64,
};
/** Its name for a file without one. */
const NAMELESS = 'tmp';

export interface InfillRequest {
  readonly model: string | null;
  readonly gap: Gap;
  readonly settings: TextSettings;
  readonly stream: boolean;
}

/** Reads the body of POST /infill. @throws StarlingError invalid_request, unsupported_parameter */
export function parseInfill(
  body: Readonly<Record<string, unknown>>,
  origin: RequestOrigin,
  unknown: UnknownNames,
): InfillRequest {
  const fields = validate(infillBody, body);
  unknown.tell(Object.keys(body).filter((name) => !Object.hasOwn(infillBody.shape, name) && !IGNORED.has(name)));
  const files = (fields.input_extra ?? []).map(({ text, filename }) => ({ name: filename ?? NAMELESS, text }));
  return {
    // Some editors have a setting for it, which is empty.
    model: fields.model === '' ? null : (fields.model ?? null),
    // `prompt` is the beginning of the line that the gap is in.
    gap: { before: fields.input_prefix + (fields.prompt ?? ''), after: fields.input_suffix, files },
    settings: samplerSettings(fields, fields.n_predict, USUAL, origin),
    stream: fields.stream === true,
  };
}
