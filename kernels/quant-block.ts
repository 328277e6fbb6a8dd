/** What the integers of a quantised block mean, wherever the block is stored: in a model file or in a tile. */
import { IQ4_VALUES, MXFP4_VALUES, type WEIGHT_FORMATS, type WeightFormat } from './formats.ts';

/** The formats that take q8 activations. */
export type QuantizedFormat = {
  [F in WeightFormat]: (typeof WEIGHT_FORMATS)[F]['activation'] extends 'q8' ? F : never;
}[WeightFormat];

/** One block of one row: 32 or 256 columns. */
export interface QuantBlock {
  /** The bits of the f16 scale d; in MXFP4 the exponent byte e. */
  d: number;
  /** The bits of the f16 m or dmin; 0 in formats without. */
  m: number;
  /** [runs] integer scales, 1 in formats without. */
  readonly scales: Int16Array;
  /** [runs] integer minima, 0 in formats without. */
  readonly mins: Int16Array;
  /** [columns], unsigned; the format's `weights` says which integer a code stands for. */
  readonly codes: Uint8Array;
}

export interface QuantFormat {
  /** d is 2^(e − 128), not an f16. */
  readonly exponent: boolean;
  /** What m does: nothing, is added to every weight, or is subtracted times the run's minimum. */
  readonly offset: 'none' | 'm' | 'dmin';
  /** Columns that share an integer scale and minimum. */
  readonly run: 16 | 32;
  /** The integer weight of each code. */
  readonly weights: Int8Array;
}

/** The integers first, first + 1, … */
const ascending = (count: number, first: number): Int8Array => Int8Array.from({ length: count }, (_, i) => first + i);

const format = (
  weights: Int8Array,
  offset: QuantFormat['offset'] = 'none',
  run: QuantFormat['run'] = 32,
): QuantFormat => ({ exponent: false, offset, run, weights });

export const QUANT_FORMATS: Readonly<Record<QuantizedFormat, QuantFormat>> = {
  // Counting on from 127 wraps to −128: the codes are the bytes of int8.
  Q8_0: format(ascending(256, 0)),
  Q4_0: format(ascending(16, -8)),
  Q4_1: format(ascending(16, 0), 'm'),
  Q5_0: format(ascending(32, -16)),
  Q5_1: format(ascending(32, 0), 'm'),
  IQ4_NL: format(Int8Array.from(IQ4_VALUES)),
  MXFP4: { exponent: true, offset: 'none', run: 32, weights: Int8Array.from(MXFP4_VALUES) },
  Q2_K: format(ascending(4, 0), 'dmin', 16),
  Q3_K: format(ascending(8, -4), 'none', 16),
  Q4_K: format(ascending(16, 0), 'dmin'),
  Q5_K: format(ascending(32, 0), 'dmin'),
  Q6_K: format(ascending(64, -32), 'none', 16),
  IQ4_XS: format(Int8Array.from(IQ4_VALUES)),
};

/** Room for a block of any format. */
export function quantBlock(): QuantBlock {
  return {
    d: 0,
    m: 0,
    scales: new Int16Array(16).fill(1),
    mins: new Int16Array(16),
    codes: new Uint8Array(256),
  };
}

/** The scale of an MXFP4 block, exact: 2^(e − 128), for e = 0 and 1 a denormal f32. */
export const exponentScale = (e: number): number => 2 ** (e - 128);

const HALF_EXPONENT = 0x7c00;

/** Whether the block's scale and offset are finite numbers; an MXFP4 exponent of 255 stands for NaN. */
export function blockFinite(name: QuantizedFormat, { d, m }: QuantBlock): boolean {
  if (QUANT_FORMATS[name].exponent) return d !== 255;
  return (d & HALF_EXPONENT) !== HALF_EXPONENT && (m & HALF_EXPONENT) !== HALF_EXPONENT;
}
