// Integers of 8 and 16 bits for KV pages of q8: rounding to them, and exact sums of their products. One version a target.
#pragma once
#include "simd.h"

// The greatest magnitude of `count` values (a multiple of 8); NaN when not all are finite.
INLINE float amax_of(const float *x, int count) {
  v8i largest = splat8i(0);
  for (int i = 0; i < count; i += 8) {
    // As bits, which order magnitudes alike and infinity and NaN above them.
    const v8i magnitude = (v8i)abs8(load8(x + i));
    largest = (v8i)select8(magnitude > largest, (v8f)magnitude, (v8f)largest);
  }
  int32_t bits = 0;
  for (int i = 0; i < 8; i++) bits = largest[i] > bits ? largest[i] : bits;
  if (bits >= 0x7f800000) return __builtin_nanf("");
  float amax;
  memcpy(&amax, &bits, 4);
  return amax;
}

// Below it values count as zeros, so that the inverse of their scale is finite.
#define SMALLEST_AMAX 0x1p-100f

// The nearest integers, of two the even; |x| below 2^22.
INLINE v8i round8(v8f x) {
  const v8f magic = splat8(12582912.0f);
  return (v8i)(x + magic) - (v8i)magic;
}

// Rounds `count` values (a multiple of 8) to 16 bits with one scale, which is returned; NaN when not all are finite.
INLINE float quantise_words(const float *x, int count, int16_t *out) {
  const float amax = amax_of(x, count);
  if (!(amax >= SMALLEST_AMAX)) {
    memset(out, 0, (size_t)count * sizeof(int16_t));
    return amax != amax ? amax : 0.0f;
  }
  const v8f inverse = splat8(32767.0f / amax);
  for (int i = 0; i < count; i += 8) {
    store8_words(out + i, round8(load8(x + i) * inverse));
  }
  return amax / 32767.0f;
}

// Sixteen bytes widened, pairs of coefficients, and sums of their products: eight lanes, each a pair of bytes.
#if defined(__AVX2__)

typedef __m256i words;
typedef __m256i coefficients;
typedef v8i sums8;

INLINE words widen16(const int8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
INLINE coefficients pair_of(const int16_t *p) {
  int32_t both;
  memcpy(&both, p, 4);
  return _mm256_set1_epi32(both);
}
INLINE sums8 zero_sums(void) { return splat8i(0); }
INLINE sums8 add_products(sums8 sum, words w, coefficients c) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  return (v8i)_mm256_dpwssd_epi32((__m256i)sum, w, c);
#else
  return sum + (v8i)_mm256_madd_epi16(w, c);
#endif
}
INLINE v8f float_sums(sums8 sum) { return to_float8(sum); }

#elif defined(__wasm_simd128__)

typedef struct { v128_t low, high; } words;
typedef v128_t coefficients;
typedef struct { v128_t low, high; } sums8;

INLINE words widen16(const int8_t *p) {
  return (words){wasm_i16x8_load8x8(p), wasm_i16x8_load8x8(p + 8)};
}
INLINE coefficients pair_of(const int16_t *p) { return wasm_v128_load32_splat(p); }
INLINE sums8 zero_sums(void) { return (sums8){wasm_i32x4_splat(0), wasm_i32x4_splat(0)}; }
INLINE sums8 add_products(sums8 sum, words w, coefficients c) {
  return (sums8){wasm_i32x4_add(sum.low, wasm_i32x4_dot_i16x8(w.low, c)),
                 wasm_i32x4_add(sum.high, wasm_i32x4_dot_i16x8(w.high, c))};
}
INLINE v8f float_sums(sums8 sum) {
  const v128_t halves[2] = {wasm_f32x4_convert_i32x4(sum.low), wasm_f32x4_convert_i32x4(sum.high)};
  return load8(halves);
}

#elif defined(__ARM_NEON) && defined(__aarch64__)

typedef int16x8x2_t words;
typedef int16x4_t coefficients;
typedef int32x4x2_t sums8;

// Loaded apart: the first of each pair, and the second.
INLINE words widen16(const int8_t *p) {
  const int8x8x2_t pairs = vld2_s8(p);
  return (words){{vmovl_s8(pairs.val[0]), vmovl_s8(pairs.val[1])}};
}
INLINE coefficients pair_of(const int16_t *p) {
  int32_t both;
  memcpy(&both, p, 4);
  return vreinterpret_s16_s32(vdup_n_s32(both));
}
INLINE sums8 zero_sums(void) { return (sums8){{vdupq_n_s32(0), vdupq_n_s32(0)}}; }
INLINE sums8 add_products(sums8 sum, words w, coefficients c) {
  sum.val[0] = vmlal_lane_s16(sum.val[0], vget_low_s16(w.val[0]), c, 0);
  sum.val[1] = vmlal_lane_s16(sum.val[1], vget_high_s16(w.val[0]), c, 0);
  sum.val[0] = vmlal_lane_s16(sum.val[0], vget_low_s16(w.val[1]), c, 1);
  sum.val[1] = vmlal_lane_s16(sum.val[1], vget_high_s16(w.val[1]), c, 1);
  return sum;
}
INLINE v8f float_sums(sums8 sum) {
  float halves[8];
  vst1q_f32(halves, vcvtq_f32_s32(sum.val[0]));
  vst1q_f32(halves + 4, vcvtq_f32_s32(sum.val[1]));
  return load8(halves);
}

#else

typedef struct { int16_t pair[16]; } words;
typedef struct { int16_t pair[2]; } coefficients;
typedef v8i sums8;

INLINE words widen16(const int8_t *p) {
  words w;
  for (int i = 0; i < 16; i++) w.pair[i] = p[i];
  return w;
}
INLINE coefficients pair_of(const int16_t *p) { return (coefficients){{p[0], p[1]}}; }
INLINE sums8 zero_sums(void) { return splat8i(0); }
INLINE sums8 add_products(sums8 sum, words w, coefficients c) {
  for (int i = 0; i < 8; i++) sum[i] += w.pair[2 * i] * c.pair[0] + w.pair[2 * i + 1] * c.pair[1];
  return sum;
}
INLINE v8f float_sums(sums8 sum) { return to_float8(sum); }

#endif
