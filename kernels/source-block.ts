/** Blocks of quantised weights as GGUF files store them (ggml/src/ggml-common.h, dequantize_row_* of ggml-quants.c). */
import type { QuantBlock, QuantizedFormat } from './quant-block.ts';

/**
 * Takes a block apart. In formats without integer scales and minima those of `into` are left alone.
 * @param source bytes of the file; the block starts at `at`
 */
export function readSourceBlock(format: QuantizedFormat, source: Uint8Array, at: number, into: QuantBlock): void {
  const { scales, mins, codes } = into;
  into.d = u16(source, at);
  into.m = 0;
  switch (format) {
    case 'Q8_0': // d, 32 int8
      for (let c = 0; c < 32; c++) codes[c] = source[at + 2 + c]!;
      return;
    case 'Q4_0': // d, 16 bytes of nibbles
    case 'IQ4_NL':
      nibbles(source, at + 2, 16, codes, 0);
      return;
    case 'Q4_1': // d, m, nibbles
      into.m = u16(source, at + 2);
      nibbles(source, at + 4, 16, codes, 0);
      return;
    case 'Q5_0': // d, 32 fifth bits, nibbles
      nibbles(source, at + 6, 16, codes, 0);
      fifthBits(source, at + 2, codes);
      return;
    case 'Q5_1': // d, m, 32 fifth bits, nibbles
      into.m = u16(source, at + 2);
      nibbles(source, at + 8, 16, codes, 0);
      fifthBits(source, at + 4, codes);
      return;
    case 'MXFP4': // e, nibbles
      into.d = source[at]!;
      nibbles(source, at + 1, 16, codes, 0);
      return;
    case 'Q2_K': // 16 bytes of scale and minimum, 64 of pairs, d, dmin
      for (let run = 0; run < 16; run++) {
        scales[run] = source[at + run]! & 15;
        mins[run] = source[at + run]! >> 4;
      }
      codes.fill(0);
      for (let half = 0; half < 2; half++) pairs(source, at + 16 + 32 * half, 0, codes, 128 * half);
      into.d = u16(source, at + 80);
      into.m = u16(source, at + 82);
      return;
    case 'Q3_K': // 32 bytes of third bits, 64 of pairs, 12 of 6-bit scales, d
      codes.fill(0);
      for (let half = 0; half < 2; half++) pairs(source, at + 32 + 32 * half, 0, codes, 128 * half);
      bits(source, at, 2, codes);
      for (let run = 0; run < 16; run++) {
        const low = source[at + 96 + (run % 8)]! >> (run < 8 ? 0 : 4);
        const high = source[at + 104 + (run % 4)]! >> (2 * Math.floor(run / 4));
        scales[run] = ((low & 15) | ((high & 3) << 4)) - 32;
      }
      into.d = u16(source, at + 108);
      return;
    case 'Q4_K': // d, dmin, 12 bytes of 6-bit scales and minima, 128 of nibbles
      into.m = u16(source, at + 2);
      scalesAndMins(source, at + 4, scales, mins);
      for (let j = 0; j < 4; j++) nibbles(source, at + 16 + 32 * j, 32, codes, 64 * j);
      return;
    case 'Q5_K': // as Q4_K, with 32 bytes of fifth bits before the nibbles
      into.m = u16(source, at + 2);
      scalesAndMins(source, at + 4, scales, mins);
      for (let j = 0; j < 4; j++) nibbles(source, at + 48 + 32 * j, 32, codes, 64 * j);
      bits(source, at + 16, 4, codes);
      return;
    case 'Q6_K': // 128 bytes of nibbles, 64 of pairs, 16 int8 scales, d
      for (let half = 0; half < 2; half++) {
        nibbles(source, at + 64 * half, 64, codes, 128 * half);
        pairs(source, at + 128 + 32 * half, 4, codes, 128 * half);
      }
      for (let run = 0; run < 16; run++) scales[run] = (source[at + 192 + run]! << 24) >> 24;
      into.d = u16(source, at + 208);
      return;
    case 'IQ4_XS': // d, 16 bits and 4 bytes of 6-bit scales, 128 bytes of nibbles
      for (let run = 0; run < 8; run++) {
        const low = source[at + 4 + (run >> 1)]! >> (4 * (run & 1));
        const high = u16(source, at + 2) >> (2 * run);
        scales[run] = ((low & 15) | ((high & 3) << 4)) - 32;
        nibbles(source, at + 8 + 16 * run, 16, codes, 32 * run);
      }
      return;
  }
}

const u16 = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);

/** `count` bytes: the low nibbles are the codes of `count` columns, the high ones those of the next `count`. */
function nibbles(source: Uint8Array, at: number, count: number, codes: Uint8Array, first: number): void {
  for (let i = 0; i < count; i++) {
    const byte = source[at + i]!;
    codes[first + i] = byte & 15;
    codes[first + count + i] = byte >> 4;
  }
}

/**
 * 32 bytes: their lowest two bits belong to 32 columns, the next two to the next 32, and so on; added at bit `shift`.
 */
function pairs(source: Uint8Array, at: number, shift: number, codes: Uint8Array, first: number): void {
  for (let c = 0; c < 128; c++) {
    const pair = (source[at + (c % 32)]! >> (2 * (c >> 5))) & 3;
    codes[first + c] = codes[first + c]! | (pair << shift);
  }
}

/** 32 bytes: bit j of byte i belongs to column 32j + i; added at bit `shift`. */
function bits(source: Uint8Array, at: number, shift: number, codes: Uint8Array): void {
  for (let c = 0; c < 256; c++) {
    const bit = (source[at + (c % 32)]! >> (c >> 5)) & 1;
    codes[c] = codes[c]! | (bit << shift);
  }
}

/** 4 bytes: bit c belongs to column c. */
function fifthBits(source: Uint8Array, at: number, codes: Uint8Array): void {
  for (let c = 0; c < 32; c++) codes[c] = codes[c]! | (((source[at + (c >> 3)]! >> (c & 7)) & 1) << 4);
}

/**
 * Eight scales and eight minima of 6 bits in 12 bytes: bytes 0..3 hold scales 0..3 and bytes 4..7 minima 0..3 in their
 * low six bits; bytes 8..11 hold the low nibbles of scales and minima 4..7, whose upper bits top bytes 0..3 and 4..7.
 */
function scalesAndMins(source: Uint8Array, at: number, scales: Int16Array, mins: Int16Array): void {
  for (let j = 0; j < 4; j++) {
    const a = source[at + j]!;
    const b = source[at + 4 + j]!;
    const c = source[at + 8 + j]!;
    scales[j] = a & 63;
    mins[j] = b & 63;
    scales[4 + j] = (c & 15) | ((a >> 6) << 4);
    mins[4 + j] = (c >> 4) | ((b >> 6) << 4);
  }
}
