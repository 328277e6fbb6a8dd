// From the rows of a GGUF tensor to tile layout, for every weight format; losslessly. Source layouts: ggml's block types.
// Weights pass as words of four bytes: word i holds columns 4i..4i+3 of a block.
#pragma once
#include "kernels.h"
#include "simd.h"

INLINE int finite_f16(uint16_t h) { return (h & 0x7c00) != 0x7c00; }
INLINE int finite_bf16(uint16_t h) { return (h & 0x7f80) != 0x7f80; }
INLINE int finite_f32(uint32_t bits) { return (bits & 0x7f800000u) != 0x7f800000u; }

INLINE uint32_t load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
INLINE void store32(void *p, uint32_t v) { memcpy(p, &v, 4); }

// Copies an f16 of one row into its lane of a `halves` part.
INLINE int put_half(uint8_t *part, int lane, const uint8_t *from) {
  uint16_t half;
  memcpy(&half, from, 2);
  memcpy(part + 2 * lane, &half, 2);
  return finite_f16(half);
}

// The parts of a block, for one row: eight words of 32 columns each.

INLINE void put_nibbles(uint8_t *part, int lane, const uint32_t *word) {
  UNROLL for (int k = 0; k < 4; k++) {
    store32(part + 32 * k + 4 * lane, (word[k] & 0x0f0f0f0fu) | (word[k + 4] & 0x0f0f0f0fu) << 4);
  }
}

// Two bits of each weight, from bit `at`.
INLINE void put_pairs(uint8_t *part, int lane, const uint32_t *word, const int at) {
  UNROLL for (int v = 0; v < 2; v++) {
    uint32_t packed = 0;
    UNROLL for (int j = 0; j < 4; j++) packed |= (word[4 * v + j] >> at & 0x03030303u) << (2 * j);
    store32(part + 32 * v + 4 * lane, packed);
  }
}

// Bit `at` of each weight.
INLINE void put_bits(uint8_t *part, int lane, const uint32_t *word, const int at) {
  uint32_t packed = 0;
  UNROLL for (int j = 0; j < 8; j++) packed |= (word[j] >> at & 0x01010101u) << j;
  store32(part + 4 * lane, packed);
}

// Sixteen bytes of nibbles: low ones are columns 0..15, high ones 16..31.
INLINE void get_nibbles(const uint8_t *from, uint32_t *word) {
  UNROLL for (int k = 0; k < 4; k++) {
    const uint32_t both = load32(from + 4 * k);
    word[k] = both & 0x0f0f0f0fu;
    word[k + 4] = both >> 4 & 0x0f0f0f0fu;
  }
}

// Puts bit c of `bits` at bit 4 of column c.
INLINE void or_fifth_bits(uint32_t bits, uint32_t *word) {
  UNROLL for (int j = 0; j < 8; j++) {
    const uint32_t four = bits >> (4 * j) & 15u;
    word[j] |= ((four * 0x00204081u) & 0x01010101u) << 4;
  }
}

// One row's block of 32 or super-block of 256 into its lane; 0 when a scale is not finite.
typedef int (*repack_block)(const uint8_t *from, uint8_t *block, int lane);

INLINE int repack_q8_0(const uint8_t *from, uint8_t *block, int lane) {
  UNROLL for (int j = 0; j < 8; j++) memcpy(block + 16 + 32 * j + 4 * lane, from + 2 + 4 * j, 4);
  return put_half(block, lane, from);
}

INLINE int repack_nibble_block(const uint8_t *from, uint8_t *block, int lane) {
  UNROLL for (int k = 0; k < 4; k++) memcpy(block + 32 * k + 4 * lane, from + 4 * k, 4);
  return 1;
}

INLINE int repack_q4_0(const uint8_t *from, uint8_t *block, int lane) {
  return put_half(block, lane, from) & repack_nibble_block(from + 2, block + 16, lane);
}

#define repack_iq4_nl repack_q4_0

INLINE int repack_q4_1(const uint8_t *from, uint8_t *block, int lane) {
  return put_half(block, lane, from) & put_half(block + 16, lane, from + 2) &
         repack_nibble_block(from + 4, block + 32, lane);
}

INLINE int repack_fifth(const uint8_t *bits, const uint8_t *nibbles, uint8_t *part, int lane) {
  uint32_t word[8];
  get_nibbles(nibbles, word);
  or_fifth_bits(load32(bits), word);
  put_bits(part, lane, word, 4);
  return repack_nibble_block(nibbles, part + 32, lane);
}

INLINE int repack_q5_0(const uint8_t *from, uint8_t *block, int lane) {
  return put_half(block, lane, from) & repack_fifth(from + 2, from + 6, block + 16, lane);
}

INLINE int repack_q5_1(const uint8_t *from, uint8_t *block, int lane) {
  return put_half(block, lane, from) & put_half(block + 16, lane, from + 2) &
         repack_fifth(from + 4, from + 8, block + 32, lane);
}

INLINE int repack_mxfp4(const uint8_t *from, uint8_t *block, int lane) {
  block[lane] = from[0];
  return (from[0] != 255) & repack_nibble_block(from + 1, block + 8, lane);
}

// scales[16], qs[64], d, dmin
INLINE int repack_q2_k(const uint8_t *from, uint8_t *block, int lane) {
  for (int i = 0; i < 16; i++) block[32 + 8 * i + lane] = from[i];
  for (int j = 0; j < 8; j++) {
    uint32_t word[8];
    UNROLL for (int i = 0; i < 8; i++) word[i] = load32(from + 16 + 32 * (j / 4) + 4 * i) >> (2 * (j % 4));
    put_pairs(block + 160 + 64 * j, lane, word, 0);
  }
  return put_half(block, lane, from + 80) & put_half(block + 16, lane, from + 82);
}

// hmask[32], qs[64], scales[12] of six bits each, offset by 32, d
INLINE int repack_q3_k(const uint8_t *from, uint8_t *block, int lane) {
  const uint8_t *packed = from + 96;
  for (int i = 0; i < 16; i++) {
    const int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
    const int high = packed[8 + i % 4] >> (2 * (i / 4)) & 3;
    block[16 + 8 * i + lane] = (uint8_t)((low | high << 4) - 32);
  }
  for (int j = 0; j < 8; j++) {
    uint32_t low[8], high[8];
    UNROLL for (int i = 0; i < 8; i++) {
      low[i] = load32(from + 32 + 32 * (j / 4) + 4 * i) >> (2 * (j % 4));
      high[i] = load32(from + 4 * i) >> j;
    }
    put_pairs(block + 144 + 96 * j, lane, low, 0);
    put_bits(block + 144 + 96 * j + 64, lane, high, 0);
  }
  return put_half(block, lane, from + 108);
}

// Scales and minima of Q4_K and Q5_K: eight of six bits each in twelve bytes.
INLINE void put_scales_and_mins(const uint8_t *packed, uint8_t *block, int lane) {
  for (int i = 0; i < 8; i++) {
    const int scale = i < 4 ? packed[i] & 63 : (packed[i + 4] & 15) | (packed[i - 4] >> 6) << 4;
    const int min = i < 4 ? packed[i + 4] & 63 : packed[i + 4] >> 4 | (packed[i] >> 6) << 4;
    block[32 + 8 * i + lane] = (uint8_t)scale;
    block[96 + 8 * i + lane] = (uint8_t)min;
  }
}

// The 32 low nibbles, or the 32 high ones, of 32 bytes.
INLINE void get_nibble_half(const uint8_t *from, const int high, uint32_t *word) {
  UNROLL for (int i = 0; i < 8; i++) word[i] = load32(from + 4 * i) >> (4 * high) & 0x0f0f0f0fu;
}

// d, dmin, scales[12], qs[128]
INLINE int repack_q4_k(const uint8_t *from, uint8_t *block, int lane) {
  put_scales_and_mins(from + 4, block, lane);
  for (int j = 0; j < 8; j++) {
    uint32_t word[8];
    get_nibble_half(from + 16 + 32 * (j / 2), j % 2, word);
    put_nibbles(block + 160 + 128 * j, lane, word);
  }
  return put_half(block, lane, from) & put_half(block + 16, lane, from + 2);
}

// d, dmin, scales[12], qh[32], qs[128]
INLINE int repack_q5_k(const uint8_t *from, uint8_t *block, int lane) {
  put_scales_and_mins(from + 4, block, lane);
  for (int j = 0; j < 8; j++) {
    uint32_t word[8], high[8];
    get_nibble_half(from + 48 + 32 * (j / 2), j % 2, word);
    UNROLL for (int i = 0; i < 8; i++) high[i] = load32(from + 16 + 4 * i) >> j;
    put_bits(block + 160 + 160 * j, lane, high, 0);
    put_nibbles(block + 160 + 160 * j + 32, lane, word);
  }
  return put_half(block, lane, from) & put_half(block + 16, lane, from + 2);
}

// ql[128], qh[64], scales[16], d
INLINE int repack_q6_k(const uint8_t *from, uint8_t *block, int lane) {
  for (int i = 0; i < 16; i++) block[16 + 8 * i + lane] = from[192 + i];
  for (int j = 0; j < 8; j++) {
    uint32_t low[8], high[8];
    get_nibble_half(from + 64 * (j / 4) + 32 * (j % 2), j % 4 / 2, low);
    UNROLL for (int i = 0; i < 8; i++) high[i] = load32(from + 128 + 32 * (j / 4) + 4 * i) >> (2 * (j % 4));
    put_nibbles(block + 144 + 192 * j, lane, low);
    put_pairs(block + 144 + 192 * j + 128, lane, high, 0);
  }
  return put_half(block, lane, from + 208);
}

// d, scales_h, scales_l[4], qs[128]
INLINE int repack_iq4_xs(const uint8_t *from, uint8_t *block, int lane) {
  const int high = from[2] | from[3] << 8;
  for (int j = 0; j < 8; j++) {
    const int low = from[4 + j / 2] >> (4 * (j % 2)) & 15;
    block[16 + 8 * j + lane] = (uint8_t)((low | (high >> (2 * j) & 3) << 4) - 32);
    repack_nibble_block(from + 8 + 16 * j, block + 80 + 128 * j, lane);
  }
  return put_half(block, lane, from);
}

// Rows and columns beyond the source stay as the caller zeroed them.
INLINE int repack_rows(const uint8_t *source, int source_stride, int rows, int cols, uint8_t *out, int out_cols,
                       const int block_cols, const int source_bytes, const int tile_bytes, repack_block repack_one) {
  int ok = 1;
  for (int row = 0; row < rows; row++, source += source_stride) {
    uint8_t *block = out + (ptrdiff_t)(row / ROW_GROUP) * (out_cols / block_cols) * tile_bytes;
    const uint8_t *from = source;
    for (int c = 0; c < cols; c += block_cols, from += source_bytes, block += tile_bytes) {
      ok &= repack_one(from, block, row % ROW_GROUP);
    }
  }
  return ok;
}

#define DEFINE_REPACK_FLOAT(name, type, finite)                                                                        \
  static int name(const uint8_t *source, int source_stride, int rows, int cols, uint8_t *out, int out_cols) {          \
    int ok = 1;                                                                                                        \
    for (int row = 0; row < rows; row++, source += source_stride) {                                                    \
      type *group = (type *)out + (ptrdiff_t)(row / ROW_GROUP) * out_cols * ROW_GROUP + row % ROW_GROUP;               \
      for (int c = 0; c < cols; c++) {                                                                                 \
        type value;                                                                                                    \
        memcpy(&value, source + (ptrdiff_t)c * sizeof(type), sizeof(type));                                            \
        ok &= finite(value);                                                                                           \
        group[(ptrdiff_t)c * ROW_GROUP] = value;                                                                       \
      }                                                                                                                \
    }                                                                                                                  \
    return ok;                                                                                                         \
  }

DEFINE_REPACK_FLOAT(repack_f32, uint32_t, finite_f32)
DEFINE_REPACK_FLOAT(repack_f16, uint16_t, finite_f16)
DEFINE_REPACK_FLOAT(repack_bf16, uint16_t, finite_bf16)
