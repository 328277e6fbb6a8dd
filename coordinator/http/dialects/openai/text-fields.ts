import { z } from 'zod';
import type { Standing } from '../../../generation/events.ts';
import type { RepetitionPenalty } from '../../../generation/sampler.ts';
import type { TextSettings } from '../../../generation/text-service.ts';
import { MAX_COUNT, MAX_NAME, MAX_STOP_LENGTH, MAX_STOPS } from '../../request-limits.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import { EMPTY } from './field.ts';

const MAX_CHOICES = 8;
const MAX_BIASES = 4096;
/** A day. */
const MAX_TIMEOUT_SECONDS = 86_400;
/** Penalties that any program offers end at 2. */
const MAX_REPETITION = 10;
const MAX_STOP_TOKENS = 1024;
/** llama.cpp's: how many of the last tokens a `repeat_penalty` looks at. */
const REPEAT_LAST_N = 64;
/** Most of the likeliest tokens that are listed with a token. */
export const MAX_TOP_LOGPROBS = 20;

const stopText = z.string().max(MAX_STOP_LENGTH);
const integer = z.number().refine(Number.isInteger, 'expected an integer');

/** A limit on tokens, above all bounds where local clients mean none, by -1 or -2. */
export const tokenLimit = integer
  .min(-2)
  .max(MAX_COUNT)
  .transform((limit) => (limit < 0 ? Number.POSITIVE_INFINITY : limit))
  .nullish();

/** Takes an empty list for an empty object: some languages have one value for both. */
export const objectOrEmptyList = <S extends z.ZodType>(schema: S) =>
  z.preprocess((value) => (Array.isArray(value) && value.length === 0 ? {} : value), schema);

/** A field that asks for nothing where there is nothing in it. */
export const unlessEmpty = <S extends z.ZodType>(schema: S) =>
  z.preprocess((value) => (EMPTY.holds(value, {}) ? null : value), schema.nullish());

/** A count that may be left out. */
export const optionalCount = (min: number, max: number) => integer.min(min).max(max).nullish();

/** How a request stands beside others. */
export const STANDING_FIELDS = {
  user: z.string().max(MAX_NAME).nullish(),
  priority: z.enum(['interactive', 'batch']).nullish(),
  timeout: z.number().positive().max(MAX_TIMEOUT_SECONDS).nullish(),
};

/** The fields that chat and text completions share; null means "not given", as OpenAI's API has it. */
export const TEXT_FIELDS = {
  model: z.string().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: optionalCount(-1, MAX_COUNT),
  min_p: z.number().min(0).max(1).nullish(),
  seed: integer
    .min(-(2 ** 63))
    .max(2 ** 63)
    .nullish(),
  stop: z
    .union([stopText, z.array(stopText).max(MAX_STOPS)], {
      error: `expected a string or up to ${MAX_STOPS} strings, each of at most ${MAX_STOP_LENGTH} characters`,
    })
    .nullish(),
  n: optionalCount(1, MAX_CHOICES),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().positive().max(MAX_REPETITION).nullish(),
  repeat_penalty: z.number().positive().max(MAX_REPETITION).nullish(),
  repeat_last_n: optionalCount(-1, MAX_COUNT),
  ignore_eos: z.boolean().nullish(),
  min_tokens: optionalCount(0, MAX_COUNT),
  stop_token_ids: z.array(integer.min(0).max(MAX_COUNT)).max(MAX_STOP_TOKENS).nullish(),
  logit_bias: objectOrEmptyList(
    z
      .record(z.string().regex(/^\d{1,10}$/, 'expected token ids as keys'), z.number().min(-100).max(100))
      .refine((biases) => Object.keys(biases).length <= MAX_BIASES, `expected at most ${MAX_BIASES} token ids`)
      .nullish(),
  ),
  max_tokens: tokenLimit,
  n_predict: tokenLimit,
  ...STANDING_FIELDS,
  stream: z.boolean().nullish(),
  stream_options: objectOrEmptyList(z.object({ include_usage: z.boolean().nullish() }).nullish()),
};

type TextFields = z.output<z.ZodObject<typeof TEXT_FIELDS>>;

/**
 * `repetition_penalty` is that of vLLM and Transformers, over everything; `repeat_penalty` that of llama.cpp, over what
 * came last.
 */
function repetition(fields: TextFields): RepetitionPenalty | null {
  const { repetition_penalty, repeat_penalty, repeat_last_n } = fields;
  if (repetition_penalty !== 1 && typeof repetition_penalty === 'number') {
    return { factor: repetition_penalty, reach: Number.POSITIVE_INFINITY };
  }
  if (repeat_penalty === 1 || typeof repeat_penalty !== 'number') return null;
  const reach = repeat_last_n ?? REPEAT_LAST_N;
  return { factor: repeat_penalty, reach: reach < 0 ? Number.POSITIVE_INFINITY : reach };
}

/** The limit that a request sets, by whichever name; null for none. @param usual where it sets none */
export function limitOf(limits: readonly (number | null | undefined)[], usual: number | null): number | null {
  const limit = limits.find((each) => each !== null && each !== undefined) ?? usual;
  return limit === Number.POSITIVE_INFINITY ? null : limit;
}

/** Whose a request is, and how urgent. */
export function standingOf(
  { user, priority, timeout }: z.output<z.ZodObject<typeof STANDING_FIELDS>>,
  origin: RequestOrigin,
): Standing {
  return {
    user: origin.userOf(user ?? null),
    priority: priority ?? 'interactive',
    timeoutMs: timeout === null || timeout === undefined ? null : timeout * 1000,
  };
}

/** The settings that the shared fields stand for, with OpenAI's defaults: temperature 1 and no filter. */
export function textSettings(
  fields: TextFields,
  own: Pick<TextSettings, 'maxTokens' | 'logprobs' | 'promptLogProbs'>,
  origin: RequestOrigin,
): TextSettings {
  const { stop } = fields;
  return {
    ...own,
    sampling: {
      temperature: fields.temperature ?? 1,
      topK: Math.max(0, fields.top_k ?? 0),
      topP: fields.top_p ?? 1,
      minP: fields.min_p ?? 0,
      // Local clients mean a random one by -1.
      seed: (fields.seed ?? -1) < 0 ? origin.randomSeed() : fields.seed!,
      frequencyPenalty: fields.frequency_penalty ?? 0,
      presencePenalty: fields.presence_penalty ?? 0,
      repetition: repetition(fields),
      logitBias: new Map(Object.entries(fields.logit_bias ?? {}).map(([token, bias]) => [Number(token), bias])),
    },
    stop: (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text !== ''),
    ends: {
      ignored: fields.ignore_eos === true,
      notBefore: fields.min_tokens ?? 0,
      tokens: new Set(fields.stop_token_ids ?? []),
    },
    choices: fields.n ?? 1,
    standing: standingOf(fields, origin),
  };
}
