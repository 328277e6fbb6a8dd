import { z } from 'zod';
import { StarlingError } from '../../daemon/errors.ts';
import type { TextSettings } from '../generation/text-service.ts';
import { MAX_COUNT, MAX_STOP_LENGTH, MAX_STOPS } from './request-limits.ts';
import type { RequestOrigin } from './request-origin.ts';

/** A whole number that may be left out. */
export const optionalInteger = (least: number) => z.int().min(least).max(MAX_COUNT).nullish();
const share = z.number().min(0).max(1).nullish();

/** How to sample and when to end, by the names of llama.cpp and of what is built upon it. */
export const SAMPLER_FIELDS = {
  temperature: z.number().min(0).max(2).nullish(),
  top_k: optionalInteger(-1),
  top_p: share,
  min_p: share,
  seed: z.int().nullish(),
  stop: z.union([z.string().max(MAX_STOP_LENGTH), z.array(z.string().max(MAX_STOP_LENGTH)).max(MAX_STOPS)]).nullish(),
  repeat_penalty: z.number().positive().max(10).nullish(),
  repeat_last_n: optionalInteger(-1),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  typical_p: z.number().nullish(),
  tfs_z: z.number().nullish(),
  mirostat: z.number().nullish(),
};

type SamplerFields = z.output<z.ZodObject<typeof SAMPLER_FIELDS>>;

/** What is used where a request says nothing. */
export interface UsualSampling {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repeatPenalty: number;
  readonly repeatLastN: number;
}

/** @throws StarlingError unsupported_parameter for samplers that there are not */
function checkSamplers({ typical_p, tfs_z, mirostat }: SamplerFields, path: string): void {
  const demands = {
    typical_p: (typical_p ?? 1) < 1 && typical_p !== 0,
    tfs_z: (tfs_z ?? 1) < 1,
    mirostat: (mirostat ?? 0) > 0,
  };
  for (const [name, isDemand] of Object.entries(demands)) {
    if (!isDemand) continue;
    const param = `${path}${name}`;
    const advice = 'sample with "temperature", "top_k", "top_p" and "min_p"';
    throw new StarlingError('unsupported_parameter', `'${param}' is not supported here: ${advice}`, { param });
  }
}

/**
 * The settings that fields stand for.
 * @param limit most tokens of the answer; none where it is negative or not given
 * @param path what the names of fields are shown with in front
 * @throws StarlingError unsupported_parameter
 */
export function samplerSettings(
  fields: SamplerFields,
  limit: number | null | undefined,
  usual: UsualSampling,
  origin: RequestOrigin,
  path = '',
): TextSettings {
  checkSamplers(fields, path);
  const { stop, seed } = fields;
  const factor = fields.repeat_penalty ?? usual.repeatPenalty;
  const reach = fields.repeat_last_n ?? usual.repeatLastN;
  return {
    maxTokens: (limit ?? -1) < 0 ? null : limit!,
    logprobs: null,
    sampling: {
      temperature: fields.temperature ?? usual.temperature,
      topK: Math.max(0, fields.top_k ?? usual.topK),
      topP: fields.top_p ?? usual.topP,
      minP: fields.min_p ?? usual.minP,
      seed: (seed ?? -1) < 0 ? origin.randomSeed() : seed!,
      frequencyPenalty: fields.frequency_penalty ?? 0,
      presencePenalty: fields.presence_penalty ?? 0,
      repetition: factor === 1 ? null : { factor, reach: reach < 0 ? Number.POSITIVE_INFINITY : reach },
      logitBias: new Map(),
    },
    stop: (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text !== ''),
    choices: 1,
    standing: { user: origin.userOf(null), priority: 'interactive', timeoutMs: null },
  };
}
