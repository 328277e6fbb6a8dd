// vec.h for WebAssembly, with relaxed SIMD or without.
#pragma once

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

INLINE vf load_scales(const uint8_t *p) { return (vf)((widen_i16(p) << 13) & (int32_t)0x8fffe000) * splatf(0x1p112f); }

// Of 16-bit lanes the even ones of a and of b.
#define EVEN_LANES(a, b) wasm_i16x8_shuffle(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
INLINE vi twice(v128_t words) {
  return joined(wasm_i16x8_shuffle(words, words, 0, 0, 1, 1, 2, 2, 3, 3), wasm_i16x8_shuffle(words, words, 4, 4, 5, 5, 6, 6, 7, 7));
}
INLINE vi scales_u8(const uint8_t *p) { return twice(wasm_u16x8_extend_low_u8x16(wasm_v128_load(p))); }
INLINE vi scales_i8(const uint8_t *p) { return twice(wasm_i16x8_extend_low_i8x16(wasm_v128_load(p))); }
INLINE vi mixed_scales(vi first, vi second) {
  return joined(EVEN_LANES(low_of(first), low_of(second)), EVEN_LANES(high_of(first), high_of(second)));
}

typedef vec pairs;
INLINE pairs pairs_add(pairs a, pairs b) { return (pairs){wasm_i16x8_add(a.low, b.low), wasm_i16x8_add(a.high, b.high)}; }
INLINE pairs pairs_times(pairs p, const int factor) {
  if (factor == 1) return p;
  const v128_t factors = wasm_i16x8_splat((int16_t)factor);
  return (pairs){wasm_i16x8_mul(p.low, factors), wasm_i16x8_mul(p.high, factors)};
}
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
