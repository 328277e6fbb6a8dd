// Exact integer dot products of LANES interleaved rows × 32 columns of a block with one row of 32 int8 activations, and the
// parts from which blocks are unpacked (kernels/formats.ts). A block is unpacked once for several activation rows. Addresses of
// parts are those of the half block's rows; vectors of a part lie 32 bytes apart.
#pragma once
#include "panel.h"
#include "vec.h"

// quad[j] holds columns 4j..4j+3 of every row.
typedef struct { vec quad[8]; } block;

INLINE block load_bytes(groups p) {
  block b;
  UNROLL for (int j = 0; j < 8; j++) b.quad[j] = vec_load(part(p, 32 * j));
  return b;
}

INLINE block load_nibbles(groups p) {
  block b;
  UNROLL for (int k = 0; k < 4; k++) {
    const vec both = vec_load(part(p, 32 * k));
    b.quad[k] = vec_bits(both, 0, 15);
    b.quad[k + 4] = vec_bits(both, 4, 15);
  }
  return b;
}

INLINE block load_pairs(groups p) {
  block b;
  UNROLL for (int j = 0; j < 8; j++) b.quad[j] = vec_bits(vec_load(part(p, 32 * (j / 4))), 2 * (j % 4), 3);
  return b;
}

// Puts the bits plane at bit `at` of each weight.
INLINE block add_bits(block b, groups p, const int at) {
  const vec bits = vec_load(p);
  UNROLL for (int j = 0; j < 8; j++) b.quad[j] = vec_or(b.quad[j], vec_bits(bits, j - at, 1 << at));
  return b;
}

INLINE block add_pairs(block b, groups p, const int at) {
  UNROLL for (int j = 0; j < 8; j++) {
    b.quad[j] = vec_or(b.quad[j], vec_bits(vec_load(part(p, 32 * (j / 4))), 2 * (j % 4) - at, 3 << at));
  }
  return b;
}

INLINE block lookup(block b, const int8_t *table) {
  UNROLL for (int j = 0; j < 8; j++) b.quad[j] = vec_lookup(table, b.quad[j]);
  return b;
}

// −offset · Σ a in every lane: what unsigned weights are above those that they stand for.
INLINE vi offset_dot(const q8_block *x, const int offset) {
  const vi minus8 = splati(x->minus8);
  switch (offset) {
    case 8: return minus8;
    case 12: return minus8 + (minus8 >> 1);
    case 16: return minus8 << 1;
    default: return minus8 << 4;
  }
}

// Integer scales of a block's two halves of 16 columns, in the form that the target's products take.
typedef struct { vi first, second, mixed; } scales;

#if defined(DOT32)

INLINE scales scales_of(vi first, vi second) {
  return (scales){first, second, (first & splati(0xffff)) | (second << 16)};
}

// start + Σ u·a over the half that begins at quad `from`.
INLINE vi half_dot(vi start, const block *b, const int8_t *a, const int from) {
  UNROLL for (int j = from; j < from + 4; j++) start = dot32(start, b->quad[j], a + 4 * j);
  return start;
}

// start + Σ u·a over the block, weights 0..largest.
INLINE vi dot_plain(vi start, const block *b, const int8_t *a, const int largest) {
  (void)largest;
  return half_dot(start, b, a, 0) + half_dot(splati(0), b, a, 4);
}

// scale · Σ u·a, one scale for the block.
INLINE vi dot_scaled(const block *b, const int8_t *a, const int largest, const scales *s) {
  return dot_plain(splati(0), b, a, largest) * s->first;
}

// first · Σ over the first half + second · Σ over the second half.
INLINE vi dot_halves(const block *b, const int8_t *a, const int largest, const scales *s) {
  (void)largest;
  return half_dot(splati(0), b, a, 0) * s->first + half_dot(splati(0), b, a, 4) * s->second;
}

// The same over u − offset, which is 32 or 4: sums begin at what that takes off.
INLINE vi dot_halves_below(const block *b, const q8_block *x, const int largest, const scales *s, const int offset) {
  (void)largest;
  const int shift = offset == 32 ? 0 : 3;
  return half_dot(splati(x->minus32[0]) >> shift, b, x->q, 0) * s->first +
         half_dot(splati(x->minus32[1]) >> shift, b, x->q, 4) * s->second;
}

// first · s0 + second · s1, for the two int16 sums of an activation block.
INLINE vi weigh_sums(const scales *s, const int16_t *sums) {
#if defined(__AVX2__)
  return pair_products(s->mixed, broadcast4(sums));
#else
  return s->first * sums[0] + s->second * sums[1];
#endif
}

INLINE block as_signed(block b) {
  UNROLL for (int j = 0; j < 8; j++) b.quad[j] = vec_bias(b.quad[j]);
  return b;
}

// Σ w·a, signed weights that went through as_signed.
INLINE vi dot_signed(const block *b, const q8_block *x) {
  vi even = SIGNED_BIAS == 0 ? splati(0) : offset_dot(x, SIGNED_BIAS), odd = splati(0);
  UNROLL for (int j = 0; j < 8; j += 2) {
    even = dot32_signed(even, b->quad[j], x->q + 4 * j);
    odd = dot32_signed(odd, b->quad[j + 1], x->q + 4 * j + 4);
  }
  return even + odd;
}

#else

// Each 32-bit lane holds a scale twice, for the two pair sums of a row; `mixed` holds both.
INLINE scales scales_of(vi first, vi second) {
  return (scales){pair_words(first, first), pair_words(second, second), pair_words(first, second)};
}

// Adds the products of `run` quads in 16 bits, which `largest` must allow: run · 2 · 127 · largest < 2^15.
INLINE pairs run_dot(const block *b, const int8_t *a, const int from, const int run) {
  pairs sum = pairs_dot(b->quad[from], vec_quad(a, from));
  UNROLL for (int j = from + 1; j < from + run; j++) {
    sum = pairs_add(sum, pairs_dot(b->quad[j], vec_quad(a, j)));
  }
  return sum;
}

INLINE vi dot_runs(const block *b, const int8_t *a, const int run, vi first, vi second) {
  vi sum = pairs_scale(run_dot(b, a, 0, run), first);
  UNROLL for (int j = run; j < 8; j += run) sum += pairs_scale(run_dot(b, a, j, run), j < 4 ? first : second);
  return sum;
}

#define RUN(largest) (8 * 254 * (largest) < 32768 ? 8 : 4 * 254 * (largest) < 32768 ? 4 : 2)

INLINE vi dot_scaled(const block *b, const int8_t *a, const int largest, const scales *s) {
  return dot_runs(b, a, RUN(largest), s->first, s->first);
}

INLINE vi dot_plain(vi start, const block *b, const int8_t *a, const int largest) {
  return start + dot_runs(b, a, RUN(largest), splati(0x10001), splati(0x10001));
}

INLINE vi dot_halves(const block *b, const int8_t *a, const int largest, const scales *s) {
  const int run = RUN(largest);
  return dot_runs(b, a, run < 4 ? run : 4, s->first, s->second);
}

INLINE vi weigh_sums(const scales *s, const int16_t *sums) {
  pairs p;
  const vi all = broadcast4(sums);
  memcpy(&p, &all, sizeof(p));
  return pairs_scale(p, s->mixed);
}

INLINE vi dot_halves_below(const block *b, const q8_block *x, const int largest, const scales *s, const int offset) {
  return dot_halves(b, x->q, largest, s) - weigh_sums(s, x->sums) * offset;
}

INLINE block as_signed(block b) { return b; }

// Σ w·a, signed weights.
INLINE vi dot_signed(const block *b, const q8_block *x) {
  const int8_t *const a = x->q;
  const vi ones = splati(0x10001);
  vi even = signed_start(a), odd = splati(0);
  UNROLL for (int j = 0; j < 8; j += 2) {
    even += pairs_scale(pairs_dot_signed(b->quad[j], a, j), ones);
    odd += pairs_scale(pairs_dot_signed(b->quad[j + 1], a, j + 1), ones);
  }
  return even + odd;
}

#endif
