import { z } from 'zod';
import {
  ACTIVATION_FUNCTION_NAMES,
  type ActivationFormat,
  KV_FORMAT_NAMES,
  KV_PAGE,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../../kernels/formats.ts';
import { TILE_KINDS } from '../tile/tile.ts';

/**
 * A phase: one broadcast of activations and one sum. A number below MAX_PHASES is a place in its layer's list; or it is
 * the head.
 */
export type Phase = number;

/** Most phases of a layer. */
export const MAX_PHASES = 7;

/** The phase after all layers, whose logits are put side by side. */
export const HEAD: Phase = MAX_PHASES;

/** Most rows of one step: the size of a prefill chunk. */
export const MAX_ROWS = 64;

/** Most tiles of one phase; keeps every sum of partial results exact (see sumLimit). */
export const MAX_PHASE_TILES = 4096;

const formats = Object.keys(WEIGHT_FORMATS) as [WeightFormat, ...WeightFormat[]];
const int = (least: number, most: number) => z.number().int().min(least).max(most);
const headDim = int(8, 512).multipleOf(8);

export const tileShapeSchema = z.strictObject({
  kind: z.enum(TILE_KINDS),
  layer: int(0, 1023),
  index: int(0, 65535),
  first: int(0, 2 ** 24),
  count: int(1, 2 ** 24),
  matrices: z
    .array(
      z.strictObject({
        format: z.enum(formats),
        rows: int(8, 2 ** 20).multipleOf(8),
        cols: int(32, 2 ** 20).multipleOf(32),
      }),
    )
    .min(1)
    .max(3),
  vectors: z.array(int(1, 2 ** 20)).max(4),
});

const ofEveryPhase = {
  /** How the activations travel: q8 unless a matrix of the phase is in a float format. */
  input: z.enum(['f32', 'q8']),
  /** Tiles whose results are added for a row, in the whole model, on all devices. */
  tiles: int(1, MAX_PHASE_TILES),
};

const attentionSchema = z.strictObject({
  kind: z.literal('attention'),
  ...ofEveryPhase,
  heads: int(1, 1024),
  kvHeads: int(1, 1024),
  headDim,
  /** Scores are q·k times this, and bounded by cap · tanh(score / cap); 0 for none. */
  scale: z.number().positive().max(1e6),
  softCap: z.number().min(0).max(1e6),
  /** Positions that a row sees, itself included; 0 for all before it. */
  window: int(0, 2 ** 24),
  /** Whether products of queries, keys and values have biases, and query heads have sinks. */
  biased: z.boolean(),
  /** Whether queries and keys are normed: each head by itself, or all together by factors that come with the input. */
  normed: z.enum(['none', 'each', 'all']),
  sinks: z.boolean(),
  /** The rotary table of the keys, and that of the queries, among `ropes`. */
  ropes: z.tuple([int(0, 7), int(0, 7)]),
});

/**
 * What attention with `normed: 'all'` needs to know before: the mean squares of each row's queries and keys over all
 * heads.
 */
const normsSchema = z.strictObject({
  kind: z.literal('norms'),
  ...ofEveryPhase,
  heads: int(1, 1024),
  kvHeads: int(1, 1024),
  headDim,
});

const feedForwardSchema = z.strictObject({
  kind: z.literal('ffn'),
  ...ofEveryPhase,
  activation: z.enum(ACTIVATION_FUNCTION_NAMES),
  /** Whether gate and up have biases. */
  biased: z.boolean(),
});

const expertsSchema = z.strictObject({
  kind: z.literal('experts'),
  ...ofEveryPhase,
  /** Networks that rows are routed to, and how many of them a row uses. */
  experts: int(1, 1024),
  used: int(1, 64),
  /** Columns of each, and of one more that is shared by all rows; 0 for none. */
  ffDim: int(1, 2 ** 20),
  sharedFfDim: int(0, 2 ** 20),
  activation: feedForwardSchema.shape.activation,
  biased: z.boolean(),
});

/** What a device must know of a model to compute its tiles. */
export const engineSpecSchema = z.strictObject({
  /** Width of the residual stream, and the same padded to a multiple of 32. */
  dim: int(8, 65536),
  cols: int(32, 65536).multipleOf(32),
  vocabSize: int(1, 2 ** 21),
  /** Of every norm: RMSNorm's epsilon. */
  rmsEps: z.number().positive().max(1),
  /** Widths of the rotary tables that a step brings: the headDim of those that they turn. */
  ropes: z.array(headDim).min(1).max(8),
  layers: z
    .array(
      z
        .array(z.discriminatedUnion('kind', [normsSchema, attentionSchema, feedForwardSchema, expertsSchema]))
        .min(1)
        .max(MAX_PHASES),
    )
    .min(1)
    .max(1024),
  /** How the head takes its activations. */
  head: z.enum(['f32', 'q8']),
  /** How the cache holds keys and values: part of the result's bits, so it is the same on every device. */
  kv: z.enum(KV_FORMAT_NAMES),
  /** Pages of KV_PAGE positions in each key/value head's cache. */
  kvPages: int(1, 2 ** 20),
});

export type EngineSpec = z.infer<typeof engineSpecSchema>;
export type AttentionSpec = z.infer<typeof attentionSchema>;
export type NormsSpec = z.infer<typeof normsSchema>;
export type FeedForwardSpec = z.infer<typeof feedForwardSchema>;
export type ExpertsSpec = z.infer<typeof expertsSchema>;
export type PhaseSpec = EngineSpec['layers'][number][number];

/** How phase `phase` of layer `layer` takes its activations. */
export function inputFormat(spec: EngineSpec, layer: number, phase: Phase): ActivationFormat {
  return phase === HEAD ? spec.head : spec.layers[layer]![phase]!.input;
}

/** A phase of experts; null for another one, the head among them. */
export function expertsOf({ layers }: Pick<EngineSpec, 'layers'>, layer: number, phase: Phase): ExpertsSpec | null {
  const found = phase === HEAD ? undefined : layers[layer]![phase];
  return found?.kind === 'experts' ? found : null;
}

/** Whether a phase is attention whose rows come with factors (factors.ts). */
export function hasFactors({ layers }: Pick<EngineSpec, 'layers'>, layer: number, phase: Phase): boolean {
  const found = phase === HEAD ? undefined : layers[layer]![phase];
  return found?.kind === 'attention' && found.normed === 'all';
}

/** Whether only the head follows. */
export function isLastPhase({ layers }: Pick<EngineSpec, 'layers'>, layer: number, phase: Phase): boolean {
  return layer === layers.length - 1 && phase === layers[layer]!.length - 1;
}

/** f32 values that a step brings for each row: all rotary tables. */
export const ropeValues = ({ ropes }: Pick<EngineSpec, 'ropes'>): number =>
  ropes.reduce((sum, width) => sum + width, 0);

/**
 * The largest |v·2^24| of one tile's partial result: with n tiles a phase and each at most 2^53 / 2^⌈log2 n⌉, every sum
 * over any grouping of tiles stays within 2^53, where f64 adds integers exactly. So whether it fits never depends on
 * the split.
 */
export function sumLimit({ tiles }: PhaseSpec): number {
  return 2 ** (53 - Math.ceil(Math.log2(tiles)));
}

export const pagesFor = (positions: number): number => Math.ceil(positions / KV_PAGE);
