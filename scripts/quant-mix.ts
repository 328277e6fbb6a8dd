/** Which tensor of a model gets which format, as llama.cpp's quantiser decides it (src/llama-quant.cpp), in essence. */
import { isWeightFormat, WEIGHT_FORMATS, type WeightFormat } from '../kernels/formats.ts';

/** Formats of one type for all matrices, and mixes that spend more bits where errors weigh most. */
export type Quant = WeightFormat | MixName;

const MIXES = ['Q3_K_M', 'Q4_K_M', 'Q5_K_M'] as const;
type MixName = (typeof MIXES)[number];

export const QUANTS: readonly Quant[] = [...(Object.keys(WEIGHT_FORMATS) as WeightFormat[]), ...MIXES];

/** A matrix, by the part of its name that says what it does. */
export type MatrixRole =
  | 'token_embd'
  | 'output'
  | 'attn_q'
  | 'attn_k'
  | 'attn_v'
  | 'attn_output'
  | 'ffn_gate'
  | 'ffn_up'
  | 'ffn_down';

export interface MatrixPlace {
  readonly role: MatrixRole;
  /** 0 outside of layers. */
  readonly layer: number;
  readonly layers: number;
  readonly cols: number;
  /** The embedding is also the head. */
  readonly tied: boolean;
}

/** What llama.cpp takes instead where rows are no multiple of 256. */
const SMALL_BLOCKS: Partial<Record<WeightFormat, WeightFormat>> = {
  Q2_K: 'IQ4_NL',
  Q3_K: 'IQ4_NL',
  IQ4_XS: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
};

/** The format of a matrix. */
export function matrixFormat(quant: Quant, place: MatrixPlace): WeightFormat {
  return smallerBlocks(isWeightFormat(quant) ? quant : mixedFormat(quant, place), place.cols);
}

/** The format itself, or for columns that do not fill its blocks one of smaller blocks. */
export function smallerBlocks(format: WeightFormat, cols: number): WeightFormat {
  return cols % WEIGHT_FORMATS[format].sourceBlockValues === 0 ? format : (SMALL_BLOCKS[format] ?? format);
}

function mixedFormat(mix: MixName, place: MatrixPlace): WeightFormat {
  const { role, layer } = place;
  if (role === 'output' || (role === 'token_embd' && place.tied)) return 'Q6_K';
  if (mix === 'Q3_K_M') {
    if (role === 'attn_v') return layer < 2 ? 'Q5_K' : 'Q4_K';
    if (role === 'ffn_down') return layer < Math.floor(place.layers / 16) ? 'Q5_K' : 'Q4_K';
    return role === 'attn_output' ? 'Q4_K' : 'Q3_K';
  }
  if ((role === 'attn_v' || role === 'ffn_down') && wantsMoreBits(place)) return 'Q6_K';
  return mix === 'Q4_K_M' ? 'Q4_K' : 'Q5_K';
}

/** The first and last eighth of the layers, and every third one in between. */
function wantsMoreBits({ layer, layers }: MatrixPlace): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}
