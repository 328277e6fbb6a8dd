// Exact integer dot products of LANES interleaved rows × 32 columns of a block with one row of 32 int8 activations, and the
// quads of which a block is made (kernels/formats.ts). Addresses of parts are those of the vector's rows; vectors of a part lie
// 32 bytes apart.
#pragma once
#include "panel.h"

// Columns 4j..4j+3 of every row, from a part of a block.

INLINE vec byte_quad(groups p, const int j) { return vec_load(part(p, 32 * j)); }
INLINE vec nibble_quad(groups p, const int j) { return vec_bits(vec_load(part(p, 32 * (j % 4))), j < 4 ? 0 : 4, 15); }
// At bit `at` of each weight.
INLINE vec pair_quad(groups p, const int j, const int at) {
  return vec_bits(vec_load(part(p, 32 * (j / 4))), 2 * (j % 4) - at, 3 << at);
}
INLINE vec bit_quad(groups p, const int j, const int at) { return vec_bits(vec_load(p), j - at, 1 << at); }

// Integer scales of a block's two halves of 16 columns, in the form that the target's products take, and of both in one. Where the
// block has one scale, both are the same.
typedef struct { vi first, second, mixed; } scales;
INLINE scales scales_of(vi first, vi second) { return (scales){first, second, mixed_scales(first, second)}; }

// What a format's weights are, as constants of its products. They stand in the block as integers from 0 to `largest` that are
// `below` more than they mean, or, where `largest` is SIGNED, as bytes that mean themselves. `scaled`: how many integer scales a
// block of 32 columns has, 0, 1 or 2.
#define SIGNED 0

#if defined(DOT32)

// first · s0 + second · s1, for the two int16 sums of an activation block.
INLINE vi weigh_sums(const scales *s, const int16_t *sums) {
#if defined(__AVX2__)
  return pair_products(s->mixed, broadcast4(sums));
#else
  return s->first * sums[0] + s->second * sums[1];
#endif
}

#else

INLINE pairs pairs_from(const int16_t *two) {
  pairs p;
  const vi all = broadcast4(two);
  memcpy(&p, &all, sizeof(p));
  return p;
}

INLINE vi weigh_sums(const scales *s, const int16_t *sums) { return pairs_scale(pairs_from(sums), s->mixed); }

// Quads whose products are added in 16 bits: a block's, or half of them. Weights without what they are above what they mean count:
// sums that begin below by as much may wrap on the way, and end where they should. 16 · 127 · 16 and 8 · 127 · 32 are below 2^15.
INLINE int run_of(const int largest, const int below, const int scaled) {
  return scaled == 2 || (below ? below : largest) > 16 ? 4 : 8;
}

// Where the 16-bit sums of the run at quad `from` begin; nothing where `below` is 0.
INLINE pairs run_start(const q8_block *x, const int below, const int run, const int from) {
  if (run == 8) return pairs_times(pairs_from(x->minus4), below / 4);
  return pairs_times(pairs_from(x->minus4_half[from / 4]), below / 4);
}

#endif
