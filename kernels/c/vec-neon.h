// vec.h for 64-bit ARM, with its dot products or without.
#pragma once
#include <arm_neon.h>

typedef uint8x16_t vec;

INLINE vec vec_load(const void *p) { return vld1q_u8(p); }
INLINE vec vec_or(vec a, vec b) { return vorrq_u8(a, b); }
// Shifts of bytes take nothing over from their neighbours: where all bits that are left are wanted, no mask is.
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  const int left = shift >= 0 ? 255 >> shift : 255 << -shift & 255;
  const vec moved = shift >= 0 ? v >> (uint8_t)shift : v << (uint8_t)-shift;
  return (left & ~mask) == 0 ? moved : moved & (uint8_t)mask;
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
INLINE vf load_scales(const void *p) { return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

#define DOT32 1
#define SIGNED_BIAS 0
INLINE vec vec_signed(vec w) { return w; }

#if defined(__ARM_FEATURE_DOTPROD)

// Four activations of a register at a time; unsigned weights are at most 63, so they are signed bytes as well.
INLINE vi quads_dot(vi start, const vec *quads, const int8_t *a, const int count) {
  int32x4_t sum = (int32x4_t)start;
  UNROLL for (int j = 0; j < count; j += 4) {
    const int8x16_t sixteen = vld1q_s8(a + 4 * j);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(quads[j]), sixteen, 0);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(quads[j + 1]), sixteen, 1);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(quads[j + 2]), sixteen, 2);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(quads[j + 3]), sixteen, 3);
  }
  return (vi)sum;
}
INLINE vi signed_dot(vi start, const vec *quads, const int8_t *a) { return quads_dot(start, quads, a, 8); }

#else

INLINE int8x16_t quad_of(const int8_t *a) {
  uint32_t four;
  memcpy(&four, a, 4);
  return vreinterpretq_s8_u32(vdupq_n_u32(four));
}

// Products of `count` quads of the rows of a vector, added in 16 bits, which must suffice: count · 127 · |w| < 2^15.
typedef struct { int16x8_t low, high; } products;
INLINE products add_in_16(const vec *quads, const int8_t *a, const int count) {
  int8x16_t w = vreinterpretq_s8_u8(quads[0]), x = quad_of(a);
  products p = {vmull_s8(vget_low_s8(w), vget_low_s8(x)), vmull_high_s8(w, x)};
  UNROLL for (int j = 1; j < count; j++) {
    w = vreinterpretq_s8_u8(quads[j]);
    x = quad_of(a + 4 * j);
    p.low = vmlal_s8(p.low, vget_low_s8(w), vget_low_s8(x));
    p.high = vmlal_high_s8(p.high, w, x);
  }
  return p;
}

// Eight quads at most 31, or four at most 63.
INLINE vi quads_dot(vi start, const vec *quads, const int8_t *a, const int count) {
  const products p = add_in_16(quads, a, count);
  return start + (vi)vpaddq_s32(vpaddlq_s16(p.low), vpaddlq_s16(p.high));
}

// |w|·|a| ≤ 128·127, so two fit in 16 bits.
INLINE vi signed_dot(vi start, const vec *quads, const int8_t *a) {
  int32x4_t low = vdupq_n_s32(0), high = low;
  UNROLL for (int j = 0; j < 8; j += 2) {
    const products p = add_in_16(quads + j, a + 4 * j, 2);
    low = vpadalq_s16(low, p.low);
    high = vpadalq_s16(high, p.high);
  }
  return start + (vi)vpaddq_s32(low, high);
}

#endif
