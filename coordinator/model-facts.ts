import type { OpenModel } from './model/open-model.ts';
import { type SystemParts, systemFingerprint } from './system-fingerprint.ts';
import type { TextTools } from './text-model.ts';

/** What clients show of a model and of how it is served. */
export interface ModelFacts {
  readonly architecture: string;
  /** Parameters, in short: "1.2B". */
  readonly size: string;
  /** The type of most weights. */
  readonly quantization: string;
  /** Of the model file. */
  readonly bytes: number;
  /** Hex digits that tell it from other models. */
  readonly digest: string;
  /** The chat template. */
  readonly template: string;
  /** It tells its reasoning apart. */
  readonly thinks: boolean;
  /** See systemFingerprint. */
  readonly fingerprint: string;
}

/** A number in short: 1.2B, 135M, 260K. */
export function shortCount(count: number): string {
  const units = [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'K'],
  ] as const;
  for (const [unit, letter] of units) {
    if (count >= unit) return `${Number((count / unit).toPrecision(count / unit < 100 ? 2 : 3))}${letter}`;
  }
  return String(count);
}

export function modelFacts(
  { id, gguf, spec }: OpenModel,
  { template, reasoning }: TextTools,
  served: Pick<SystemParts, 'version' | 'kv' | 'contextLength'>,
): ModelFacts {
  let parameters = 0;
  const ofType = new Map<string, number>();
  for (const { type, dims } of gguf.tensors.values()) {
    const weights = dims.reduce((product, dim) => product * dim, 1);
    parameters += weights;
    ofType.set(type, (ofType.get(type) ?? 0) + weights);
  }
  const [most] = [...ofType].sort(([, a], [, b]) => b - a);
  const quantization = most?.[0] ?? '';
  return {
    architecture: spec.architecture,
    size: shortCount(parameters),
    quantization,
    bytes: gguf.parts.reduce((sum, { size }) => sum + size, 0),
    digest: id,
    template: template.source,
    thinks: reasoning !== null,
    fingerprint: systemFingerprint({ ...served, model: id, quantization }),
  };
}
