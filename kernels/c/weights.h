// Blocks of 8 rows of every quantised format: how they are unpacked, and their exact products with a block of activations.
// Block layouts: kernels/formats.ts.
#pragma once
#include "dot.h"

static const int8_t IQ4_VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// Plus 12, to be unsigned.
static const int8_t MXFP4_BIASED[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// 2^(e − 128) for eight bytes e, as a product of two powers in the normal range; exact, also where it is denormal.
INLINE vf e8m0_scales(groups p) {
  const vi e = widen_u8(p);
  const vi half = e >> 1;
  return (vf)((half + 63) << 23) * (vf)((e - half + 63) << 23);
}

// LANES rows of a block of 32 columns, unpacked. `m` belongs to formats with a minimum, `s` and `mins` to those with super-blocks.
typedef struct {
  vf d, m;
  block w;
  scales s, mins;
} unpacked;

// Formats with blocks of 32: NAME_unpack reads a block, NAME_dot gives Σ w·q over the integer weights.

INLINE void q8_0_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->w = as_signed(load_bytes(part(p, 16 + IN_WORDS(half))));
}
INLINE vi q8_0_dot(const unpacked *u, const q8_block *x) { return dot_signed(&u->w, x); }

INLINE void q4_0_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->w = load_nibbles(part(p, 16 + IN_WORDS(half)));
}
INLINE vi q4_0_dot(const unpacked *u, const q8_block *x) {
  return dot_plain(offset_dot(x, 8), &u->w, x->q, 15);
}

INLINE void q4_1_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->m = load_scales(part(p, 16 + IN_HALVES(half)));
  u->w = load_nibbles(part(p, 32 + IN_WORDS(half)));
}
INLINE vi q4_1_dot(const unpacked *u, const q8_block *x) {
  return dot_plain(splati(0), &u->w, x->q, 15);
}

INLINE void q5_0_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->w = add_bits(load_nibbles(part(p, 48 + IN_WORDS(half))), part(p, 16 + IN_WORDS(half)), 4);
}
INLINE vi q5_0_dot(const unpacked *u, const q8_block *x) {
  return dot_plain(offset_dot(x, 16), &u->w, x->q, 31);
}

INLINE void q5_1_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->m = load_scales(part(p, 16 + IN_HALVES(half)));
  u->w = add_bits(load_nibbles(part(p, 64 + IN_WORDS(half))), part(p, 32 + IN_WORDS(half)), 4);
}
INLINE vi q5_1_dot(const unpacked *u, const q8_block *x) {
  return dot_plain(splati(0), &u->w, x->q, 31);
}

INLINE void iq4_nl_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->w = as_signed(lookup(load_nibbles(part(p, 16 + IN_WORDS(half))), IQ4_VALUES));
}
INLINE vi iq4_nl_dot(const unpacked *u, const q8_block *x) { return dot_signed(&u->w, x); }

INLINE void mxfp4_unpack(groups p, const int half, unpacked *u) {
  u->d = e8m0_scales(part(p, IN_BYTES(half)));
  u->w = lookup(load_nibbles(part(p, 8 + IN_WORDS(half))), MXFP4_BIASED);
}
INLINE vi mxfp4_dot(const unpacked *u, const q8_block *x) {
  return dot_plain(offset_dot(x, 12), &u->w, x->q, 24);
}

// Formats with super-blocks of 256: NAME_head reads d (and dmin into m), NAME_unpack the j-th block of 32 columns, NAME_dot gives
// the scaled Σ, NAME_min what the minima take off.

INLINE void d_head(groups p, const int half, unpacked *u) { u->d = load_scales(part(p, IN_HALVES(half))); }
INLINE void d_dmin_head(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->m = load_scales(part(p, 16 + IN_HALVES(half)));
}
INLINE vf no_min(const unpacked *u, const q8_block *x) {
  (void)u;
  (void)x;
  return splatf(0.0f);
}

// f32(m) · f32(scale · f32(s)), with the minima as integers in mins.first
INLINE vf block_min(const unpacked *u, const q8_block *x) { return to_float(u->mins.first) * splatf(x->weighted); }

#define q4_k_head d_dmin_head
INLINE void q4_k_unpack(groups p, const int half, int j, unpacked *u) {
  const vi s = widen_u8(part(p, 32 + 8 * j + IN_BYTES(half)));
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(part(p, 96 + 8 * j + IN_BYTES(half)));
  u->w = load_nibbles(part(p, 160 + 128 * j + IN_WORDS(half)));
}
INLINE vi q4_k_dot(const unpacked *u, const q8_block *x) {
  return dot_scaled(&u->w, x->q, 15, &u->s);
}
#define q4_k_min block_min

#define q5_k_head d_dmin_head
INLINE void q5_k_unpack(groups p, const int half, int j, unpacked *u) {
  const vi s = widen_u8(part(p, 32 + 8 * j + IN_BYTES(half)));
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(part(p, 96 + 8 * j + IN_BYTES(half)));
  u->w = add_bits(load_nibbles(part(p, 160 + 160 * j + 32 + IN_WORDS(half))), part(p, 160 + 160 * j + IN_WORDS(half)), 4);
}
INLINE vi q5_k_dot(const unpacked *u, const q8_block *x) {
  return dot_scaled(&u->w, x->q, 31, &u->s);
}
#define q5_k_min block_min

#define q2_k_head d_dmin_head
INLINE void q2_k_unpack(groups p, const int half, int j, unpacked *u) {
  const vi first = widen_u8(part(p, 32 + 16 * j + IN_BYTES(half))), second = widen_u8(part(p, 32 + 16 * j + 8 + IN_BYTES(half)));
  u->s = scales_of(first & 15, second & 15);
  u->mins = scales_of(first >> 4, second >> 4);
  u->w = load_pairs(part(p, 160 + 64 * j + IN_WORDS(half)));
}
INLINE vi q2_k_dot(const unpacked *u, const q8_block *x) {
  return dot_halves(&u->w, x->q, 3, &u->s);
}
INLINE vf q2_k_min(const unpacked *u, const q8_block *x) {
  return to_float(weigh_sums(&u->mins, x->sums)) * splatf(x->scale);
}

#define q3_k_head d_head
INLINE void q3_k_unpack(groups p, const int half, int j, unpacked *u) {
  u->s = scales_of(widen_i8(part(p, 16 + 16 * j + IN_BYTES(half))), widen_i8(part(p, 16 + 16 * j + 8 + IN_BYTES(half))));
  u->w = add_bits(load_pairs(part(p, 144 + 96 * j + IN_WORDS(half))), part(p, 144 + 96 * j + 64 + IN_WORDS(half)), 2);
}
INLINE vi q3_k_dot(const unpacked *u, const q8_block *x) {
  return dot_halves_below(&u->w, x, 7, &u->s, 4);
}
#define q3_k_min no_min

#define q6_k_head d_head
INLINE void q6_k_unpack(groups p, const int half, int j, unpacked *u) {
  u->s = scales_of(widen_i8(part(p, 16 + 16 * j + IN_BYTES(half))), widen_i8(part(p, 16 + 16 * j + 8 + IN_BYTES(half))));
  u->w = add_pairs(load_nibbles(part(p, 144 + 192 * j + IN_WORDS(half))), part(p, 144 + 192 * j + 128 + IN_WORDS(half)), 4);
}
INLINE vi q6_k_dot(const unpacked *u, const q8_block *x) {
  return dot_halves_below(&u->w, x, 63, &u->s, 32);
}
#define q6_k_min no_min

#define iq4_xs_head d_head
INLINE void iq4_xs_unpack(groups p, const int half, int j, unpacked *u) {
  u->s.first = widen_i8(part(p, 16 + 8 * j + IN_BYTES(half)));
  u->w = as_signed(lookup(load_nibbles(part(p, 80 + 128 * j + IN_WORDS(half))), IQ4_VALUES));
}
INLINE vi iq4_xs_dot(const unpacked *u, const q8_block *x) {
  return dot_signed(&u->w, x) * u->s.first;
}
#define iq4_xs_min no_min
