import type { KvFormat } from '../kernels/formats.ts';
import { SAMPLER_VERSION } from './generation/sampler.ts';

/** What a text depends on beside the request that asks for it. */
export interface SystemParts {
  /** Of Starling. */
  readonly version: string;
  /** Hex digits that tell the model, with its tokenizer and template, from others. */
  readonly model: string;
  /** The type of most weights; what else there is in the file, `model` tells. */
  readonly quantization: string;
  readonly kv: KvFormat;
  /** Where a text ends for want of room, and which factors some models rotate by. */
  readonly contextLength: number;
}

/** Enough of a model's digits to tell it from all others that somebody has. */
const MODEL_DIGITS = 16;

/**
 * The fingerprint that clients see of all that decides about a text beside the request: equal fingerprints, seeds and
 * prompts give equal text. Devices, threads, backends, drafts and who else asks are no part of it, as no text depends
 * on them.
 * @returns `starling-VERSION/MODEL/QUANTIZATION/kv-FORMAT/context-LENGTH/sampler-VERSION`
 */
export function systemFingerprint({ version, model, quantization, kv, contextLength }: SystemParts): string {
  return [
    `starling-${version}`,
    model.slice(0, MODEL_DIGITS),
    quantization,
    `kv-${kv}`,
    `context-${contextLength}`,
    `sampler-${SAMPLER_VERSION}`,
  ].join('/');
}
