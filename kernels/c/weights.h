// Blocks of 8 rows of every quantised format: how they are read. Block layouts: kernels/formats.ts.
#pragma once
#include "dot.h"

static const int8_t IQ4_VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// Plus 12, to be unsigned.
static const int8_t MXFP4_BIASED[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// name, quad: how a quad is read, first: where the weights of a block begin, each: bytes of the weights of 32 columns, what they
// are as constants of their products (dot.h), and min: whether a minimum comes off. A block of 32 columns has float scales in front
// of its weights (NAME_head); one of 256 has eight times weights, and in front integer scales as well (NAME_scales).
#define BLOCK_FORMATS(X)                              \
  X(q4_0, nibble_quad, 16, 128, 15, 8, 0, NO_MIN)     \
  X(q4_1, nibble_quad, 32, 128, 15, 0, 0, ONE_MIN)    \
  X(q5_0, five_bits_quad, 16, 160, 31, 16, 0, NO_MIN) \
  X(q5_1, five_bits_quad, 32, 160, 31, 0, 0, ONE_MIN) \
  X(q8_0, byte_quad, 16, 256, SIGNED, 0, 0, NO_MIN)   \
  X(iq4_nl, iq4_quad, 16, 128, SIGNED, 0, 0, NO_MIN)  \
  X(mxfp4, mxfp4_quad, 8, 128, 24, 12, 0, NO_MIN)
#define SUPER_FORMATS(X)                              \
  X(q2_k, two_bits_quad, 160, 64, 3, 0, 2, TWO_MINS)  \
  X(q3_k, three_bits_quad, 144, 96, 7, 4, 2, NO_MIN)  \
  X(q4_k, nibble_quad, 160, 128, 15, 0, 1, ONE_MIN)   \
  X(q5_k, five_bits_quad, 160, 160, 31, 0, 1, ONE_MIN) \
  X(q6_k, six_bits_quad, 144, 192, 63, 32, 2, NO_MIN) \
  X(iq4_xs, iq4_quad, 80, 128, SIGNED, 0, 1, NO_MIN)
enum { NO_MIN, ONE_MIN, TWO_MINS };

INLINE vec two_bits_quad(groups p, const int j) { return pair_quad(p, j, 0); }
INLINE vec three_bits_quad(groups p, const int j) { return vec_or(pair_quad(p, j, 0), bit_quad(part(p, 64), j, 2)); }
INLINE vec five_bits_quad(groups p, const int j) { return vec_or(nibble_quad(part(p, 32), j), bit_quad(p, j, 4)); }
INLINE vec six_bits_quad(groups p, const int j) { return vec_or(nibble_quad(p, j), pair_quad(part(p, 128), j, 4)); }
INLINE vec iq4_quad(groups p, const int j) { return vec_lookup(IQ4_VALUES, nibble_quad(p, j)); }
INLINE vec mxfp4_quad(groups p, const int j) { return vec_lookup(MXFP4_BIASED, nibble_quad(p, j)); }

// 2^(e − 128) for eight bytes e, as a product of two powers in the normal range; exact, also where it is denormal.
INLINE vf e8m0_scales(groups p) {
  const vi e = widen_u8(p);
  const vi half = e >> 1;
  return (vf)((half + 63) << 23) * (vf)((e - half + 63) << 23);
}

// What LANES rows have beside their weights: float scales and minima of a block, integer ones of 32 columns.
typedef struct {
  vf d, m;
  scales s, mins;
} around;

INLINE around d_head(groups p, const int half) { return (around){.d = load_scales(part(p, IN_HALVES(half)))}; }
INLINE around d_m_head(groups p, const int half) {
  return (around){.d = load_scales(part(p, IN_HALVES(half))), .m = load_scales(part(p, 16 + IN_HALVES(half)))};
}
INLINE around mxfp4_head(groups p, const int half) { return (around){.d = e8m0_scales(part(p, IN_BYTES(half)))}; }
#define q4_0_head d_head
#define q4_1_head d_m_head
#define q5_0_head d_head
#define q5_1_head d_m_head
#define q8_0_head d_head
#define iq4_nl_head d_head
#define q2_k_head d_m_head
#define q3_k_head d_head
#define q4_k_head d_m_head
#define q5_k_head d_m_head
#define q6_k_head d_head
#define iq4_xs_head d_head

// A byte s and a byte m for 32 columns.
INLINE void one_scale(groups p, const int half, int j, around *u) {
  const vi s = scales_u8(part(p, 32 + 8 * j + IN_BYTES(half)));
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(part(p, 96 + 8 * j + IN_BYTES(half)));
}
#define q4_k_scales one_scale
#define q5_k_scales one_scale
INLINE void q2_k_scales(groups p, const int half, int j, around *u) {
  const vi first = scales_u8(part(p, 32 + 16 * j + IN_BYTES(half))), second = scales_u8(part(p, 40 + 16 * j + IN_BYTES(half)));
  const vi nibble = splati(0xf000f);
  u->s = scales_of(first & nibble, second & nibble);
  u->mins = scales_of(first >> 4 & nibble, second >> 4 & nibble);
}
INLINE void two_scales(groups p, const int half, int j, around *u) {
  u->s = scales_of(scales_i8(part(p, 16 + 16 * j + IN_BYTES(half))), scales_i8(part(p, 24 + 16 * j + IN_BYTES(half))));
}
#define q3_k_scales two_scales
#define q6_k_scales two_scales
INLINE void iq4_xs_scales(groups p, const int half, int j, around *u) {
  u->s.first = widen_i8(part(p, 16 + 8 * j + IN_BYTES(half)));
}
