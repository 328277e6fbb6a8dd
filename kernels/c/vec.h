// 32 bytes at a time: the operations with which a block's weights are unpacked and multiplied. One version a target; the
// rest of the kernels is the same source everywhere.
//
// A target either has DOT32, a product that adds four byte products in 32 bits, or adds pairs of products in 16 bits first.
#pragma once
#include "simd.h"

#if defined(__AVX2__)

typedef __m256i vec;

INLINE vec vec_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vec vec_or(vec a, vec b) { return _mm256_or_si256(a, b); }
// (v >> shift) & mask in each byte; a negative shift is to the left.
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  const vec moved = shift >= 0 ? _mm256_srli_epi16(v, shift) : _mm256_slli_epi16(v, -shift);
  return _mm256_and_si256(moved, _mm256_set1_epi8((char)mask));
}
INLINE vec vec_lookup(const int8_t *table, vec index) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)), index);
}
// Four bytes, once for every row.
INLINE vec vec_broadcast4(const void *p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}
INLINE v8i widen_i8(const void *p) { return (v8i)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
INLINE v8i widen_u8(const void *p) { return (v8i)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define DOT32 1
// sum + four products of unsigned and signed bytes, a row a lane
INLINE v8i dot32(v8i sum, vec u, vec a) { return (v8i)_mm256_dpbusd_epi32((__m256i)sum, u, a); }
// The same for signed weights, biased by 128 to be unsigned.
#define SIGNED_BIAS 128
INLINE vec vec_bias(vec w) { return _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80)); }
INLINE v8i dot32_signed(v8i sum, vec biased, vec a) { return dot32(sum, biased, a); }
#else
typedef __m256i pairs;
INLINE pairs pairs_dot(vec u, vec a) { return _mm256_maddubs_epi16(u, a); }
INLINE pairs pairs_add(pairs a, pairs b) { return _mm256_add_epi16(a, b); }
INLINE v8i pairs_scale(pairs p, v8i scales) { return (v8i)_mm256_madd_epi16(p, (__m256i)scales); }
// |w|·|a| ≤ 128·127, so one pair fits in 16 bits.
INLINE pairs pairs_dot_signed(vec w, vec a) {
  return _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8(a, w));
}
#endif

#elif defined(__wasm_simd128__)

typedef struct { v128_t low, high; } vec; // rows 0..3, rows 4..7

INLINE vec vec_load(const void *p) { return (vec){wasm_v128_load(p), wasm_v128_load((const char *)p + 16)}; }
INLINE vec vec_or(vec a, vec b) { return (vec){wasm_v128_or(a.low, b.low), wasm_v128_or(a.high, b.high)}; }
INLINE v128_t half_bits(v128_t v, const int shift, const int mask) {
  return wasm_v128_and(shift >= 0 ? wasm_u16x8_shr(v, shift) : wasm_i16x8_shl(v, -shift), wasm_i8x16_splat((int8_t)mask));
}
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  return (vec){half_bits(v.low, shift, mask), half_bits(v.high, shift, mask)};
}
INLINE vec vec_lookup(const int8_t *table, vec index) {
  const v128_t values = wasm_v128_load(table);
  return (vec){wasm_i8x16_swizzle(values, index.low), wasm_i8x16_swizzle(values, index.high)};
}
INLINE vec vec_broadcast4(const void *p) {
  const v128_t four = wasm_v128_load32_splat(p);
  return (vec){four, four};
}
INLINE v8i join8(v128_t low, v128_t high) {
  v8i v;
  memcpy(&v, &low, 16);
  memcpy((char *)&v + 16, &high, 16);
  return v;
}
INLINE v8i widen_i8(const void *p) {
  const v128_t wide = wasm_i16x8_load8x8(p);
  return join8(wasm_i32x4_extend_low_i16x8(wide), wasm_i32x4_extend_high_i16x8(wide));
}
INLINE v8i widen_u8(const void *p) {
  const v128_t wide = wasm_u16x8_load8x8(p);
  return join8(wasm_i32x4_extend_low_i16x8(wide), wasm_i32x4_extend_high_i16x8(wide));
}

typedef vec pairs;
INLINE pairs pairs_add(pairs a, pairs b) {
  return (pairs){wasm_i16x8_add(a.low, b.low), wasm_i16x8_add(a.high, b.high)};
}
INLINE v8i pairs_scale(pairs p, v8i scales) {
  v128_t low, high;
  memcpy(&low, &scales, 16);
  memcpy(&high, (const char *)&scales + 16, 16);
  return join8(wasm_i32x4_dot_i16x8(p.low, low), wasm_i32x4_dot_i16x8(p.high, high));
}
// Even and odd bytes of each pair, widened to 16 bits.
INLINE v128_t even_i8(v128_t v) { return wasm_i16x8_shr(wasm_i16x8_shl(v, 8), 8); }
INLINE v128_t odd_i8(v128_t v) { return wasm_i16x8_shr(v, 8); }
INLINE v128_t half_dot_signed(v128_t w, v128_t a) {
  return wasm_i16x8_add(wasm_i16x8_mul(even_i8(w), even_i8(a)), wasm_i16x8_mul(odd_i8(w), odd_i8(a)));
}
INLINE pairs pairs_dot_signed(vec w, vec a) {
  return (pairs){half_dot_signed(w.low, a.low), half_dot_signed(w.high, a.high)};
}
INLINE pairs pairs_dot(vec u, vec a) {
#if defined(__wasm_relaxed_simd__)
  // Exact: the second operand is 0..127.
  return (pairs){wasm_i16x8_relaxed_dot_i8x16_i7x16(a.low, u.low), wasm_i16x8_relaxed_dot_i8x16_i7x16(a.high, u.high)};
#else
  return pairs_dot_signed(u, a);
#endif
}

#elif defined(__ARM_NEON) && defined(__aarch64__)

#include <arm_neon.h>
#define DOT32 1
#define SIGNED_BIAS 0

typedef struct { uint8x16_t low, high; } vec; // rows 0..3, rows 4..7

INLINE vec vec_load(const void *p) { return (vec){vld1q_u8(p), vld1q_u8((const uint8_t *)p + 16)}; }
INLINE vec vec_or(vec a, vec b) { return (vec){vorrq_u8(a.low, b.low), vorrq_u8(a.high, b.high)}; }
INLINE uint8x16_t half_bits(uint8x16_t v, const int shift, const int mask) {
  return vandq_u8(vshlq_u8(v, vdupq_n_s8((int8_t)-shift)), vdupq_n_u8((uint8_t)mask));
}
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  return (vec){half_bits(v.low, shift, mask), half_bits(v.high, shift, mask)};
}
INLINE vec vec_lookup(const int8_t *table, vec index) {
  const uint8x16_t values = vld1q_u8((const uint8_t *)table);
  return (vec){vqtbl1q_u8(values, index.low), vqtbl1q_u8(values, index.high)};
}
INLINE vec vec_broadcast4(const void *p) {
  uint32_t four;
  memcpy(&four, p, 4);
  const uint8x16_t all = vreinterpretq_u8_u32(vdupq_n_u32(four));
  return (vec){all, all};
}
INLINE v8i join8(int32x4_t low, int32x4_t high) {
  v8i v;
  memcpy(&v, &low, 16);
  memcpy((char *)&v + 16, &high, 16);
  return v;
}
INLINE v8i widen_i8(const void *p) {
  const int16x8_t wide = vmovl_s8(vld1_s8(p));
  return join8(vmovl_s16(vget_low_s16(wide)), vmovl_s16(vget_high_s16(wide)));
}
INLINE v8i widen_u8(const void *p) {
  const int16x8_t wide = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p)));
  return join8(vmovl_s16(vget_low_s16(wide)), vmovl_s16(vget_high_s16(wide)));
}
INLINE int32x4_t half_dot32(int32x4_t sum, int8x16_t w, int8x16_t a) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sum, w, a);
#else
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(a));
  const int16x8_t high = vmull_s8(vget_high_s8(w), vget_high_s8(a));
  return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}
INLINE vec vec_bias(vec w) { return w; }
INLINE v8i dot32_signed(v8i sum, vec w, vec a) {
  int32x4_t low, high;
  memcpy(&low, &sum, 16);
  memcpy(&high, (const char *)&sum + 16, 16);
  return join8(half_dot32(low, vreinterpretq_s8_u8(w.low), vreinterpretq_s8_u8(a.low)),
               half_dot32(high, vreinterpretq_s8_u8(w.high), vreinterpretq_s8_u8(a.high)));
}
// Unsigned weights are at most 63, so they are signed bytes as well.
INLINE v8i dot32(v8i sum, vec u, vec a) { return dot32_signed(sum, u, a); }

#else

#define DOT32 1
#define SIGNED_BIAS 0

typedef uint8_t vec __attribute__((vector_size(32)));

INLINE vec vec_load(const void *p) { vec v; memcpy(&v, p, 32); return v; }
INLINE vec vec_or(vec a, vec b) { return a | b; }
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  return (shift >= 0 ? v >> shift : v << -shift) & (uint8_t)mask;
}
INLINE vec vec_lookup(const int8_t *table, vec index) {
  vec out;
  for (int i = 0; i < 32; i++) out[i] = (uint8_t)table[index[i]];
  return out;
}
INLINE vec vec_broadcast4(const void *p) {
  vec v;
  for (int row = 0; row < 8; row++) memcpy((char *)&v + 4 * row, p, 4);
  return v;
}
INLINE v8i widen_i8(const void *p) {
  v8i v;
  for (int i = 0; i < 8; i++) v[i] = ((const int8_t *)p)[i];
  return v;
}
INLINE v8i widen_u8(const void *p) {
  v8i v;
  for (int i = 0; i < 8; i++) v[i] = ((const uint8_t *)p)[i];
  return v;
}
INLINE vec vec_bias(vec w) { return w; }
INLINE v8i dot32_signed(v8i sum, vec w, vec a) {
  for (int row = 0; row < 8; row++) {
    for (int i = 0; i < 4; i++) sum[row] += (int8_t)w[4 * row + i] * (int8_t)a[4 * row + i];
  }
  return sum;
}
// Unsigned weights are at most 63, so they are signed bytes as well.
INLINE v8i dot32(v8i sum, vec u, vec a) { return dot32_signed(sum, u, a); }

#endif
