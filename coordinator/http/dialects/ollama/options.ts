import { z } from 'zod';
import type { TextSettings } from '../../../generation/text-service.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import { optionalInteger, SAMPLER_FIELDS, samplerSettings, type UsualSampling } from '../../sampler-fields.ts';

/** `options` of a request: those that say how to sample and when to end. */
export const generationOptions = z.object({ num_predict: optionalInteger(-2), ...SAMPLER_FIELDS });

type GenerationOptions = z.output<typeof generationOptions>;

/** Options that are passed over: how a model is loaded, and what belongs to samplers that are refused. */
export const IGNORED_OPTIONS: ReadonlySet<string> = new Set(
  'num_ctx num_keep num_batch num_gpu main_gpu num_thread numa low_vram use_mmap use_mlock f16_kv vocab_only logits_all penalize_newline mirostat_tau mirostat_eta'.split(
    ' ',
  ),
);

/** What is used where a request says nothing, as documented at Ollama. */
const USUAL: UsualSampling = {
  temperature: 0.8,
  topK: 40,
  topP: 0.9,
  minP: 0,
  repeatPenalty: 1.1,
  repeatLastN: 64,
};

/** The settings that options stand for. @throws StarlingError unsupported_parameter */
export function optionSettings(options: GenerationOptions, origin: RequestOrigin): TextSettings {
  return samplerSettings(options, options.num_predict, USUAL, origin, 'options.');
}
