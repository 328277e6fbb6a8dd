import { z } from 'zod';
import { StarlingError } from '../../../../daemon/errors.ts';
import type { TextSettings } from '../../../generation/text-service.ts';
import { MAX_COUNT, MAX_STOP_LENGTH, MAX_STOPS } from '../../request-limits.ts';
import type { RequestOrigin } from '../../request-origin.ts';

const count = (least: number) => z.int().min(least).max(MAX_COUNT).nullish();
const share = z.number().min(0).max(1).nullish();

/** `options` of a request: those that say how to sample and when to end. */
export const generationOptions = z.object({
  num_predict: count(-2),
  temperature: z.number().min(0).max(2).nullish(),
  top_k: count(-1),
  top_p: share,
  min_p: share,
  seed: z.int().nullish(),
  stop: z.union([z.string().max(MAX_STOP_LENGTH), z.array(z.string().max(MAX_STOP_LENGTH)).max(MAX_STOPS)]).nullish(),
  repeat_penalty: z.number().positive().max(10).nullish(),
  repeat_last_n: count(-1),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  typical_p: z.number().nullish(),
  tfs_z: z.number().nullish(),
  mirostat: z.number().nullish(),
});

type GenerationOptions = z.output<typeof generationOptions>;

/** Options that are passed over: how a model is loaded, and what belongs to samplers that are refused. */
export const IGNORED_OPTIONS: ReadonlySet<string> = new Set(
  'num_ctx num_keep num_batch num_gpu main_gpu num_thread numa low_vram use_mmap use_mlock f16_kv vocab_only logits_all penalize_newline mirostat_tau mirostat_eta'.split(
    ' ',
  ),
);

/** What is used where a request says nothing, as documented at Ollama. */
const USUAL = { temperature: 0.8, topK: 40, topP: 0.9, repeatPenalty: 1.1, repeatLastN: 64 };

/** @throws StarlingError unsupported_parameter for samplers that there are not */
function checkSamplers({ typical_p, tfs_z, mirostat }: GenerationOptions): void {
  const demands = {
    typical_p: (typical_p ?? 1) < 1 && typical_p !== 0,
    tfs_z: (tfs_z ?? 1) < 1,
    mirostat: (mirostat ?? 0) > 0,
  };
  for (const [name, isDemand] of Object.entries(demands)) {
    if (!isDemand) continue;
    const param = `options.${name}`;
    const advice = 'sample with "temperature", "top_k", "top_p" and "min_p"';
    throw new StarlingError('unsupported_parameter', `'${param}' is not supported here: ${advice}`, { param });
  }
}

/** The settings that options stand for. @throws StarlingError unsupported_parameter */
export function optionSettings(options: GenerationOptions, origin: RequestOrigin): TextSettings {
  checkSamplers(options);
  const { num_predict, stop, seed } = options;
  const factor = options.repeat_penalty ?? USUAL.repeatPenalty;
  const reach = options.repeat_last_n ?? USUAL.repeatLastN;
  return {
    maxTokens: num_predict === null || num_predict === undefined || num_predict < 0 ? null : num_predict,
    logprobs: null,
    sampling: {
      temperature: options.temperature ?? USUAL.temperature,
      topK: Math.max(0, options.top_k ?? USUAL.topK),
      topP: options.top_p ?? USUAL.topP,
      minP: options.min_p ?? 0,
      seed: (seed ?? -1) < 0 ? origin.randomSeed() : seed!,
      frequencyPenalty: options.frequency_penalty ?? 0,
      presencePenalty: options.presence_penalty ?? 0,
      repetition: factor === 1 ? null : { factor, reach: reach < 0 ? Number.POSITIVE_INFINITY : reach },
      logitBias: new Map(),
    },
    stop: (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text !== ''),
    choices: 1,
    standing: { user: origin.userOf(null), priority: 'interactive', timeoutMs: null },
  };
}
