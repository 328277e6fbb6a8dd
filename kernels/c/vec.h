// The operations with which a block's weights are unpacked and multiplied. One version a target; the rest of the kernels is
// the same source everywhere.
//
// A vector holds LANES rows: all 8 of a block, or 4 where registers are of 128 bits; the block is then computed as two halves,
// each of which fits the registers. With LANES 16 (matmul-wide.c, for registers of 512 bits) it holds the same block of two
// neighbouring row groups. A target either has DOT32, a product that adds four byte products in 32 bits, or adds pairs of
// products in 16 bits first.
#pragma once
#include "simd.h"

#if !defined(LANES)
#if defined(__AVX2__) || defined(__wasm_simd128__)
#define LANES 8
#else
#define LANES 4
#endif
#endif
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

// Output rows of a vector or of the halves that make a row group.
#define VECTOR_ROWS (LANES == 16 ? 16 : 8)
// Parts of a block, each for LANES rows, and where the second begins in parts with 4 bytes, 2 bytes and 1 byte a row.
#define HALVES (LANES < 8 ? 2 : 1)
#define IN_WORDS(half) (16 * (half))
#define IN_HALVES(half) (8 * (half))
#define IN_BYTES(half) (4 * (half))

// Where the rows of a vector are read: in one row group, or at the same place of two.
#if LANES == 16
typedef struct {
  const uint8_t *first, *second;
} groups;
INLINE groups groups_at(const uint8_t *w, ptrdiff_t group) { return (groups){w, w + group}; }
INLINE groups part(groups p, ptrdiff_t offset) { return (groups){p.first + offset, p.second + offset}; }
#else
typedef const uint8_t *groups;
INLINE groups groups_at(const uint8_t *w, ptrdiff_t group) {
  (void)group;
  return w;
}
INLINE groups part(groups p, ptrdiff_t offset) { return p + offset; }
#endif

INLINE vf splatf(float x) { return x - (vf){0}; }
INLINE vi splati(int32_t x) { return x - (vi){0}; }
// Four bytes, once for every row.
INLINE vi broadcast4(const void *p) {
  int32_t four;
  memcpy(&four, p, 4);
  return splati(four);
}
INLINE vf to_float(vi x) { return __builtin_convertvector(x, vf); }

#if LANES == 16

typedef __m512i vec;

INLINE vec vec_load(groups p) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)p.first)),
                            _mm256_loadu_si256((const __m256i *)p.second), 1);
}
INLINE vec vec_or(vec a, vec b) { return _mm512_or_si512(a, b); }
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  const vec moved = shift >= 0 ? _mm512_srli_epi16(v, (unsigned)shift) : _mm512_slli_epi16(v, (unsigned)-shift);
  return _mm512_and_si512(moved, _mm512_set1_epi8((char)mask));
}
INLINE vec vec_lookup(const int8_t *table, vec index) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), index);
}
INLINE __m128i load_bytes16(groups p) {
  return _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)p.first), _mm_loadl_epi64((const __m128i *)p.second));
}
INLINE vi widen_i8(groups p) { return (vi)_mm512_cvtepi8_epi32(load_bytes16(p)); }
INLINE vi widen_u8(groups p) { return (vi)_mm512_cvtepu8_epi32(load_bytes16(p)); }
INLINE vi pair_products(vi a, vi b) { return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b); }

#define DOT32 1
#define SIGNED_BIAS 128
// GCC loads and broadcasts apart, which takes an instruction more of each product.
INLINE vi dot32(vi sum, vec u, const int8_t *a) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(u), "m"(*(const int8_t(*)[4])a));
  return sum;
}
INLINE vec vec_bias(vec w) { return _mm512_xor_si512(w, _mm512_set1_epi8((char)0x80)); }
INLINE vi dot32_signed(vi sum, vec biased, const int8_t *a) { return dot32(sum, biased, a); }

#elif defined(__AVX2__)

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
INLINE vi widen_i8(const void *p) { return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
INLINE vi widen_u8(const void *p) { return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define DOT32 1
INLINE vi pair_products(vi a, vi b) { return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
// sum + the products of a quad of unsigned weights and four activations, a row a lane
INLINE vi dot32(vi sum, vec u, const int8_t *a) {
  __asm__("vpdpbusd %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(u), "m"(*(const int8_t(*)[4])a));
  return sum;
}
// The same for signed weights, biased by 128 to be unsigned.
#define SIGNED_BIAS 128
INLINE vec vec_bias(vec w) { return _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80)); }
INLINE vi dot32_signed(vi sum, vec biased, const int8_t *a) { return dot32(sum, biased, a); }
#else
INLINE vec vec_quad(const int8_t *a, const int j) { return (vec)broadcast4(a + 4 * j); }
typedef __m256i pairs;
INLINE pairs pairs_dot(vec u, vec a) { return _mm256_maddubs_epi16(u, a); }
INLINE pairs pairs_add(pairs a, pairs b) { return _mm256_add_epi16(a, b); }
INLINE vi pairs_scale(pairs p, vi scales) { return (vi)_mm256_madd_epi16(p, (__m256i)scales); }
// |w|·|a| ≤ 128·127, so one pair fits in 16 bits.
INLINE vi signed_start(const int8_t *a) {
  (void)a;
  return splati(0);
}
INLINE pairs pairs_dot_signed(vec w, const int8_t *a, const int j) {
  return _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8((__m256i)broadcast4(a + 4 * j), w));
}
INLINE vi pair_words(vi a, vi b) { return (a & splati(0xffff)) | (b << 16); }
#endif

#elif defined(__wasm_simd128__)

// Constants of an address cost nothing in v128.load only: engines add those of other loads up in registers. So bytes are loaded
// as whole vectors and spread from there.
typedef struct { v128_t low, high; } vec;

INLINE vi joined(v128_t low, v128_t high) {
  return __builtin_shufflevector((v4i)low, (v4i)high, 0, 1, 2, 3, 4, 5, 6, 7);
}
INLINE v128_t low_of(vi v) { return (v128_t)__builtin_shufflevector(v, v, 0, 1, 2, 3); }
INLINE v128_t high_of(vi v) { return (v128_t)__builtin_shufflevector(v, v, 4, 5, 6, 7); }

INLINE vec vec_load(const uint8_t *p) { return (vec){wasm_v128_load(p), wasm_v128_load(p + 16)}; }
INLINE vec vec_or(vec a, vec b) { return (vec){wasm_v128_or(a.low, b.low), wasm_v128_or(a.high, b.high)}; }
INLINE v128_t bits16(v128_t v, const int shift, const int mask) {
  return wasm_v128_and(shift >= 0 ? wasm_u16x8_shr(v, shift) : wasm_i16x8_shl(v, -shift), wasm_i8x16_splat((int8_t)mask));
}
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  return (vec){bits16(v.low, shift, mask), bits16(v.high, shift, mask)};
}
// Indices are 0..15, for which both instructions do the same.
#if defined(__wasm_relaxed_simd__)
#define LOOK_UP wasm_i8x16_relaxed_swizzle
#else
#define LOOK_UP wasm_i8x16_swizzle
#endif
INLINE vec vec_lookup(const int8_t *table, vec index) {
  const v128_t values = wasm_v128_load(table);
  return (vec){LOOK_UP(values, index.low), LOOK_UP(values, index.high)};
}
INLINE v128_t splat_quad(v128_t sixteen, const int j) {
  const int32_t four = ((v4i)sixteen)[j];
  return wasm_i32x4_splat(four);
}
// Columns 4j..4j+3 of a block of activations, once for every row.
INLINE vec vec_quad(const int8_t *a, const int j) {
  const v128_t quad = splat_quad(wasm_v128_load(a + 16 * (j / 4)), j % 4);
  return (vec){quad, quad};
}
INLINE vi widen_i16(const uint8_t *p) {
  const v128_t words = wasm_v128_load(p);
  return joined(wasm_i32x4_extend_low_i16x8(words), wasm_i32x4_extend_high_i16x8(words));
}
INLINE vi widen_i8(const uint8_t *p) {
  const v128_t words = wasm_i16x8_extend_low_i8x16(wasm_v128_load(p));
  return joined(wasm_i32x4_extend_low_i16x8(words), wasm_i32x4_extend_high_i16x8(words));
}
INLINE vi widen_u8(const uint8_t *p) {
  const v128_t words = wasm_u16x8_extend_low_u8x16(wasm_v128_load(p));
  return joined(wasm_u32x4_extend_low_u16x8(words), wasm_u32x4_extend_high_u16x8(words));
}

// a's low 16 bits of each lane, and b's above them.
INLINE vi pair_words(vi a, vi b) {
  const v128_t x = wasm_i16x8_narrow_i32x4(low_of(a), high_of(a)), y = wasm_i16x8_narrow_i32x4(low_of(b), high_of(b));
  return joined(wasm_i16x8_shuffle(x, y, 0, 8, 1, 9, 2, 10, 3, 11), wasm_i16x8_shuffle(x, y, 4, 12, 5, 13, 6, 14, 7, 15));
}

typedef vec pairs;
INLINE pairs pairs_add(pairs a, pairs b) { return (pairs){wasm_i16x8_add(a.low, b.low), wasm_i16x8_add(a.high, b.high)}; }
INLINE vi pairs_scale(pairs p, vi scales) {
  return joined(wasm_i32x4_dot_i16x8(p.low, low_of(scales)), wasm_i32x4_dot_i16x8(p.high, high_of(scales)));
}
#if defined(__wasm_relaxed_simd__)
// Exact: the second operand is 0..127.
INLINE pairs pairs_dot(vec u, vec a) {
  return (pairs){wasm_i16x8_relaxed_dot_i8x16_i7x16(a.low, u.low), wasm_i16x8_relaxed_dot_i8x16_i7x16(a.high, u.high)};
}
// Signed weights are the first operand and magnitudes |a| the second, with w·a = |a|·w, or |a|·~w + |a| where a is negative, as
// −w = ~w + 1. A pair's sum is at most 2·127·128. What is added belongs to the activations alone: the start of a sum.
INLINE v128_t negatives(v128_t a) { return wasm_i8x16_lt(a, wasm_i8x16_splat(0)); }
INLINE vi signed_start(const int8_t *a) {
  const v128_t first = wasm_v128_load(a), second = wasm_v128_load(a + 16);
  // Of −1 · |a|
  const v128_t words = wasm_i16x8_add(wasm_i16x8_relaxed_dot_i8x16_i7x16(negatives(first), wasm_i8x16_abs(first)),
                                      wasm_i16x8_relaxed_dot_i8x16_i7x16(negatives(second), wasm_i8x16_abs(second)));
  v128_t sum = wasm_i32x4_dot_i16x8(words, wasm_i16x8_splat(-1));
  sum = wasm_i32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 2, 3, 0, 1));
  sum = wasm_i32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 1, 0, 3, 2));
  return joined(sum, sum);
}
INLINE pairs pairs_dot_signed(vec w, const int8_t *a, const int j) {
  const v128_t sixteen = wasm_v128_load(a + 16 * (j / 4));
  const v128_t magnitude = splat_quad(wasm_i8x16_abs(sixteen), j % 4), flip = splat_quad(negatives(sixteen), j % 4);
  return (pairs){wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_xor(w.low, flip), magnitude),
                 wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_xor(w.high, flip), magnitude)};
}
#else
// Even and odd bytes of each pair, widened to 16 bits.
INLINE v128_t even_i8(v128_t v) { return wasm_i16x8_shr(wasm_i16x8_shl(v, 8), 8); }
INLINE v128_t odd_i8(v128_t v) { return wasm_i16x8_shr(v, 8); }
INLINE v128_t dot16(v128_t w, v128_t a) {
  return wasm_i16x8_add(wasm_i16x8_mul(even_i8(w), even_i8(a)), wasm_i16x8_mul(odd_i8(w), odd_i8(a)));
}
INLINE pairs pairs_dot(vec u, vec a) { return (pairs){dot16(u.low, a.low), dot16(u.high, a.high)}; }
INLINE vi signed_start(const int8_t *a) {
  (void)a;
  return splati(0);
}
INLINE pairs pairs_dot_signed(vec w, const int8_t *a, const int j) { return pairs_dot(w, vec_quad(a, j)); }
#endif

#elif defined(__ARM_NEON) && defined(__aarch64__)

#include <arm_neon.h>
#define DOT32 1
#define SIGNED_BIAS 0

typedef uint8x16_t vec;

INLINE vec vec_load(const void *p) { return vld1q_u8(p); }
INLINE vec vec_or(vec a, vec b) { return vorrq_u8(a, b); }
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  return vandq_u8(vshlq_u8(v, vdupq_n_s8((int8_t)-shift)), vdupq_n_u8((uint8_t)mask));
}
INLINE vec vec_lookup(const int8_t *table, vec index) { return vqtbl1q_u8(vld1q_u8((const uint8_t *)table), index); }
INLINE int8x8_t load_four(const void *p) {
  uint32_t four;
  memcpy(&four, p, 4);
  return vreinterpret_s8_u32(vdup_n_u32(four));
}
INLINE vi widen_i8(const void *p) { return (vi)vmovl_s16(vget_low_s16(vmovl_s8(load_four(p)))); }
INLINE vi widen_u8(const void *p) {
  return (vi)vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_s8(load_four(p)))));
}
INLINE vec vec_bias(vec w) { return w; }
INLINE vi dot32_signed(vi sum, vec w, const int8_t *a) {
  uint32_t four;
  memcpy(&four, a, 4);
  const int8x16_t x = vreinterpretq_s8_u8(w), y = vreinterpretq_s8_u32(vdupq_n_u32(four));
#if defined(__ARM_FEATURE_DOTPROD)
  return (vi)vdotq_s32((int32x4_t)sum, x, y);
#else
  const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(y));
  const int16x8_t high = vmull_s8(vget_high_s8(x), vget_high_s8(y));
  return sum + (vi)vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
#endif
}
// Unsigned weights are at most 63, so they are signed bytes as well.
INLINE vi dot32(vi sum, vec u, const int8_t *a) { return dot32_signed(sum, u, a); }

#else

#define DOT32 1
#define SIGNED_BIAS 0

typedef uint8_t vec __attribute__((vector_size(16)));

INLINE vec vec_load(const void *p) { vec v; memcpy(&v, p, 16); return v; }
INLINE vec vec_or(vec a, vec b) { return a | b; }
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  return (shift >= 0 ? v >> shift : v << -shift) & (uint8_t)mask;
}
INLINE vec vec_lookup(const int8_t *table, vec index) {
  vec out;
  for (int i = 0; i < 16; i++) out[i] = (uint8_t)table[index[i]];
  return out;
}
INLINE vi widen_i8(const void *p) {
  const int8_t *b = p;
  return (vi){b[0], b[1], b[2], b[3]};
}
INLINE vi widen_u8(const void *p) {
  const uint8_t *b = p;
  return (vi){b[0], b[1], b[2], b[3]};
}
INLINE vec vec_bias(vec w) { return w; }
INLINE vi dot32_signed(vi sum, vec w, const int8_t *a) {
  for (int row = 0; row < 4; row++) {
    for (int i = 0; i < 4; i++) sum[row] += (int8_t)w[4 * row + i] * a[i];
  }
  return sum;
}
// Unsigned weights are at most 63, so they are signed bytes as well.
INLINE vi dot32(vi sum, vec u, const int8_t *a) { return dot32_signed(sum, u, a); }

#endif

// Scales of LANES rows, which are finite: repack refuses others.
INLINE vf load_scales(groups p) {
#if LANES == 16
  return (vf)_mm512_cvtph_ps(_mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p.first)), _mm_loadu_si128((const __m128i *)p.second), 1));
#elif defined(__AVX2__)
  return load8_f16(p);
#else
#if defined(__wasm_simd128__)
  const vi words = widen_i16(p);
#else
  typedef int16_t halves __attribute__((vector_size(8)));
  halves h;
  memcpy(&h, p, 8);
  const vi words = __builtin_convertvector(h, vi);
#endif
  return (vf)((words << 13) & (int32_t)0x8fffe000) * splatf(0x1p112f);
#endif
}
