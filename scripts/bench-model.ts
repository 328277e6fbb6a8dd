import { createHash } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { Contents } from '../coordinator/model/contents.ts';
import type { GgufFile } from '../coordinator/model/gguf/reader.ts';
import { StarlingError } from '../daemon/errors.ts';
import { modelContent } from './architectures/architecture-model.ts';
import { shapeOf } from './architectures/dense-models.ts';
import { qwen3MoeOf } from './architectures/expert-models.ts';
import { type GgufTensor, writeGguf } from './gguf-writer.ts';
import { MODEL_SHAPES, type ModelShape, type ModelShapeName } from './model-shapes.ts';
import { QUANTS, type Quant } from './quant-mix.ts';
import { mix } from './random-words.ts';
import { writeSyntheticModel } from './synthetic-model.ts';

export interface BenchModelOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  /** Instead of the shape's own. */
  readonly layers?: number;
}

export interface BenchModel {
  readonly path: string;
  readonly bytes: number;
  readonly layers: number;
  /** Positions of the longest sequence that is measured on it. */
  readonly context: number;
}

/** Of all synthetic models of the benches. */
export const SEED = 1;
/** Enough for the benches, and the same for every program that is measured. */
const CONTEXT = 1024;

/** Where the benches keep models, tiles and the peer from one run to the next; may be deleted at any time. */
export const benchFolder = (): string => join(tmpdir(), 'starling-bench');

/** A synthetic model, written on first use. */
export async function benchModel({ shape, quant, layers }: BenchModelOptions): Promise<BenchModel> {
  const own = MODEL_SHAPES[shape];
  const name = [shape, ...(layers === undefined ? [] : [`${layers}layers`]), quant, `seed${SEED}`].join('-');
  const path = join(benchFolder(), `${name}.gguf`);
  if ((await stat(path).catch(() => null)) === null) {
    await mkdir(benchFolder(), { recursive: true });
    process.stderr.write(`writing ${path}\n`);
    // Under another name until it is whole.
    const part = `${path}.${process.pid}.part`;
    try {
      await writeBenchModel(part, { shape, quant, ...(layers === undefined ? {} : { layers }) });
      await rename(part, path);
    } finally {
      await rm(part, { force: true });
    }
  }
  const context = Math.min(CONTEXT, own.contextLength);
  return { path, bytes: (await stat(path)).size, layers: layers ?? own.layers, context };
}

/** @param hollow leaves out the matrices that are cut into tiles: see SyntheticModelOptions */
export async function writeBenchModel(
  out: string,
  { shape, quant, layers }: BenchModelOptions,
  hollow = false,
): Promise<void> {
  const like: ModelShape = MODEL_SHAPES[shape];
  if (like.experts === undefined) {
    await writeSyntheticModel({ shape, quant, out, seed: SEED, hollow, ...(layers === undefined ? {} : { layers }) });
    return;
  }
  if (quant !== 'Q4_0' && quant !== 'Q4_K')
    throw new StarlingError('invalid_argument', `${shape} is measured in Q4_0 and Q4_K, not in ${quant}`);
  const model = qwen3MoeOf(shapeOf({ ...like, layers: layers ?? like.layers }), like.experts);
  const { metadata, tensors } = modelContent(model, quant, SEED);
  const isTiled = ({ name, type }: GgufTensor): boolean => type !== 'F32' && !name.startsWith('token_embd');
  await writeGguf(out, {
    metadata,
    tensors: tensors.map((tensor) => ({ ...tensor, hole: hollow && isTiled(tensor) })),
  });
}

/**
 * Token ids for a prompt and for what follows it.
 * @throws StarlingError invalid_argument when they are more than the context holds
 */
export function benchTokens(shape: ModelShapeName, context: number, count: number): number[] {
  if (count > context) {
    throw new StarlingError(
      'invalid_argument',
      `${count} tokens with the prompt; ${shape} is measured up to ${context}`,
    );
  }
  return Array.from({ length: count }, (_, i) => (mix(SEED + i) >>> 0) % MODEL_SHAPES[shape].vocabSize);
}

export function shapeName(text: string): ModelShapeName {
  const found = (Object.keys(MODEL_SHAPES) as ModelShapeName[]).find((name) => name === text);
  if (found === undefined)
    throw new InvalidArgumentError(`one of ${Object.keys(MODEL_SHAPES).join(', ')} is expected.`);
  return found;
}

export function quantName(text: string): Quant {
  const found = QUANTS.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`one of ${QUANTS.join(', ')} is expected.`);
  return found;
}

/**
 * Knows a model file of a benchmark by its header and times alone: hollow ones hold nothing else, and reading gigabytes
 * through would push out of memory what is measured.
 */
export async function headerContents({ parts, tensors }: GgufFile): Promise<Contents> {
  const files = parts.map(({ path, size, state }) => `${path} ${size} ${state.mtimeNs}`);
  const header = [...files, ...[...tensors.values()].map((tensor) => JSON.stringify(tensor))].join('\n');
  return { sha256: [createHash('sha256').update(header).digest('hex')], warning: null };
}
