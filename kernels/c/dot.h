// Exact integer dot products of one block: 8 interleaved rows × 32 columns against one row of 32 int8 activations.
// A block is unpacked once (unpack_*) and used for several activation rows (dot_*).
#pragma once
#include "simd.h"

#if defined(__AVX2__)

typedef struct { __m256i quad[8]; } block_i8;

INLINE __m256i broadcast4(const int8_t *a) {
  int32_t four;
  memcpy(&four, a, 4);
  return _mm256_set1_epi32(four);
}

INLINE block_i8 unpack_q8_0(const uint8_t *w) {
  block_i8 b;
  for (int j = 0; j < 8; j++) b.quad[j] = _mm256_loadu_si256((const __m256i *)(w + 32 * j));
  return b;
}

// |w|·|a| ≤ 128·127, so the pair sums of maddubs stay below 2^15 and nothing saturates.
INLINE v8i dot_q8_0(const block_i8 *b, const int8_t *a) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
  for (int j = 0; j < 8; j += 2) {
    const __m256i w0 = b->quad[j], w1 = b->quad[j + 1];
    const __m256i p0 = _mm256_maddubs_epi16(_mm256_sign_epi8(w0, w0), _mm256_sign_epi8(broadcast4(a + 4 * j), w0));
    const __m256i p1 = _mm256_maddubs_epi16(_mm256_sign_epi8(w1, w1), _mm256_sign_epi8(broadcast4(a + 4 * j + 4), w1));
    even = _mm256_add_epi32(even, _mm256_madd_epi16(p0, ones));
    odd = _mm256_add_epi32(odd, _mm256_madd_epi16(p1, ones));
  }
  return (v8i)_mm256_add_epi32(even, odd);
}

INLINE block_i8 unpack_q4_0(const uint8_t *w) {
  const __m256i low = _mm256_set1_epi8(15);
  block_i8 b;
  for (int k = 0; k < 4; k++) {
    const __m256i packed = _mm256_loadu_si256((const __m256i *)(w + 32 * k));
    b.quad[k] = _mm256_and_si256(packed, low);
    b.quad[k + 4] = _mm256_and_si256(_mm256_srli_epi16(packed, 4), low);
  }
  return b;
}

// Nibbles are 0..15: eight pair sums of at most 2·15·127 fit in 16 bits. The offset of 8 comes off through the block's sum.
INLINE v8i dot_q4_0(const block_i8 *b, const int8_t *a, int32_t sum) {
  __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
  for (int j = 0; j < 8; j += 2) {
    even = _mm256_add_epi16(even, _mm256_maddubs_epi16(b->quad[j], broadcast4(a + 4 * j)));
    odd = _mm256_add_epi16(odd, _mm256_maddubs_epi16(b->quad[j + 1], broadcast4(a + 4 * j + 4)));
  }
  const __m256i pairs = _mm256_add_epi16(even, odd);
  return (v8i)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)) - splat8i(8 * sum);
}

#elif defined(__wasm_simd128__)

typedef struct { v128_t quad[16]; } block_i8; // [quadruple][rows 0..3, rows 4..7]

INLINE v8i join8(v128_t low, v128_t high) {
  v8i v;
  memcpy(&v, &low, 16);
  memcpy((char *)&v + 16, &high, 16);
  return v;
}

// (x0+x1, x2+x3, y0+y1, y2+y3)
INLINE v128_t add_pairs(v128_t x, v128_t y) {
  return wasm_i32x4_add(wasm_i32x4_shuffle(x, y, 0, 2, 4, 6), wasm_i32x4_shuffle(x, y, 1, 3, 5, 7));
}

INLINE block_i8 unpack_q8_0(const uint8_t *w) {
  block_i8 b;
  for (int j = 0; j < 16; j++) b.quad[j] = wasm_v128_load(w + 16 * j);
  return b;
}

INLINE v8i dot_q8_0(const block_i8 *b, const int8_t *a) {
  v128_t sum[4] = {wasm_i32x4_splat(0), wasm_i32x4_splat(0), wasm_i32x4_splat(0), wasm_i32x4_splat(0)};
  for (int j = 0; j < 8; j++) {
    const v128_t x = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(a + 4 * j));
    for (int half = 0; half < 2; half++) {
      const v128_t w = b->quad[2 * j + half];
      sum[2 * half] = wasm_i32x4_add(sum[2 * half], wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(w), x));
      sum[2 * half + 1] = wasm_i32x4_add(sum[2 * half + 1], wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(w), x));
    }
  }
  return join8(add_pairs(sum[0], sum[1]), add_pairs(sum[2], sum[3]));
}

INLINE block_i8 unpack_q4_0(const uint8_t *w) {
  const v128_t low = wasm_i8x16_splat(15);
  block_i8 b;
  for (int k = 0; k < 8; k++) {
    const v128_t packed = wasm_v128_load(w + 16 * k);
    b.quad[k] = wasm_v128_and(packed, low);
    b.quad[k + 8] = wasm_u8x16_shr(packed, 4);
  }
  return b;
}

INLINE v8i dot_q4_0(const block_i8 *b, const int8_t *a, int32_t sum) {
#if defined(__wasm_relaxed_simd__)
  // Exact: the second operand is 0..15, and eight pair sums of at most 2·15·127 fit in 16 bits.
  v128_t low = wasm_i16x8_splat(0), high = wasm_i16x8_splat(0);
  for (int j = 0; j < 8; j++) {
    const v128_t x = wasm_v128_load32_splat(a + 4 * j);
    low = wasm_i16x8_add(low, wasm_i16x8_relaxed_dot_i8x16_i7x16(x, b->quad[2 * j]));
    high = wasm_i16x8_add(high, wasm_i16x8_relaxed_dot_i8x16_i7x16(x, b->quad[2 * j + 1]));
  }
  const v8i dots = join8(wasm_i32x4_extadd_pairwise_i16x8(low), wasm_i32x4_extadd_pairwise_i16x8(high));
#else
  v128_t part[4] = {wasm_i16x8_splat(0), wasm_i16x8_splat(0), wasm_i16x8_splat(0), wasm_i16x8_splat(0)};
  for (int j = 0; j < 8; j++) {
    const v128_t x = wasm_v128_load32_splat(a + 4 * j);
    for (int half = 0; half < 2; half++) {
      const v128_t w = b->quad[2 * j + half];
      part[2 * half] = wasm_i16x8_add(part[2 * half], wasm_i16x8_extmul_low_i8x16(w, x));
      part[2 * half + 1] = wasm_i16x8_add(part[2 * half + 1], wasm_i16x8_extmul_high_i8x16(w, x));
    }
  }
  for (int i = 0; i < 4; i++) part[i] = wasm_i32x4_extadd_pairwise_i16x8(part[i]);
  const v8i dots = join8(add_pairs(part[0], part[1]), add_pairs(part[2], part[3]));
#endif
  return dots - splat8i(8 * sum);
}

#else

typedef struct { int8_t value[8][8][4]; } block_i8; // [quadruple][row][column]

INLINE v8i dot_i8(const block_i8 *b, const int8_t *a) {
  v8i sum = splat8i(0);
  for (int j = 0; j < 8; j++) {
    for (int row = 0; row < 8; row++) {
      for (int i = 0; i < 4; i++) sum[row] += b->value[j][row][i] * a[4 * j + i];
    }
  }
  return sum;
}

INLINE block_i8 unpack_q8_0(const uint8_t *w) {
  block_i8 b;
  memcpy(b.value, w, 256);
  return b;
}

INLINE v8i dot_q8_0(const block_i8 *b, const int8_t *a) { return dot_i8(b, a); }

INLINE block_i8 unpack_q4_0(const uint8_t *w) {
  block_i8 b;
  for (int k = 0; k < 4; k++) {
    for (int row = 0; row < 8; row++) {
      for (int i = 0; i < 4; i++) {
        const uint8_t packed = w[32 * k + 4 * row + i];
        b.value[k][row][i] = (int8_t)(packed & 15);
        b.value[k + 4][row][i] = (int8_t)(packed >> 4);
      }
    }
  }
  return b;
}

INLINE v8i dot_q4_0(const block_i8 *b, const int8_t *a, int32_t sum) { return dot_i8(b, a) - splat8i(8 * sum); }

#endif
