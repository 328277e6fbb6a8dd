import { z } from 'zod';
import {
  type ActivationFormat,
  KV_FORMAT_NAMES,
  KV_PAGE,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../../kernels/formats.ts';
import { TILE_KINDS } from './tile.ts';

/** The two phases of a layer, each one broadcast of activations and one sum; and the head, whose logits are put side by side. */
export const PHASE = { attention: 0, ffn: 1, head: 2 } as const;
export type Phase = (typeof PHASE)[keyof typeof PHASE];

/** Most rows of one step: the size of a prefill chunk. */
export const MAX_ROWS = 64;

/** Most tiles of one phase; keeps every sum of partial results exact (see sumLimit). */
export const MAX_PHASE_TILES = 4096;

const formats = Object.keys(WEIGHT_FORMATS) as [WeightFormat, ...WeightFormat[]];
const int = (least: number, most: number) => z.number().int().min(least).max(most);

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
});

const layerSchema = z.strictObject({
  /** How the activations of each phase travel: q8 unless a matrix of the phase is in a float format. */
  inputs: z.tuple([z.enum(['f32', 'q8']), z.enum(['f32', 'q8'])]),
  /** Tiles of each phase in the whole model, on all devices. */
  tiles: z.tuple([int(1, MAX_PHASE_TILES), int(1, MAX_PHASE_TILES)]),
});

/** What a device must know of a model to compute its tiles. */
export const engineSpecSchema = z.strictObject({
  /** Width of the residual stream, and the same padded to a multiple of 32. */
  dim: int(8, 65536),
  cols: int(32, 65536).multipleOf(32),
  heads: int(1, 1024),
  kvHeads: int(1, 1024),
  headDim: int(8, 512).multipleOf(8),
  vocabSize: int(1, 2 ** 21),
  layers: z.array(layerSchema).min(1).max(1024),
  /** How the head takes its activations. */
  head: z.enum(['f32', 'q8']),
  /** How the cache holds keys and values: part of the result's bits, so it is the same on every device. */
  kv: z.enum(KV_FORMAT_NAMES),
  /** Pages of KV_PAGE positions in each key/value head's cache. */
  kvPages: int(1, 2 ** 20),
});

export type EngineSpec = z.infer<typeof engineSpecSchema>;

/** How phase `phase` of layer `layer` takes its activations. */
export function inputFormat(spec: EngineSpec, layer: number, phase: Phase): ActivationFormat {
  return phase === PHASE.head ? spec.head : spec.layers[layer]!.inputs[phase];
}

/**
 * The largest |v·2^24| of one tile's partial result: with n tiles a phase and each at most 2^53 / 2^⌈log2 n⌉, every sum over
 * any grouping of tiles stays within 2^53, where f64 adds integers exactly. So whether it fits never depends on the split.
 */
export function sumLimit(spec: EngineSpec, layer: number, phase: 0 | 1): number {
  return 2 ** (53 - Math.ceil(Math.log2(spec.layers[layer]!.tiles[phase])));
}

export const pagesFor = (positions: number): number => Math.ceil(positions / KV_PAGE);
