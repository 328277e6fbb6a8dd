// Products of targets whose dot32(sum, u, a) adds the products of a quad of unsigned weights and four activations, a row a lane.
#pragma once

// start + Σ u·a over `count` quads, 4 or 8: in two chains, as each waits for the one before.
INLINE vi quads_dot(vi start, const vec *quads, const int8_t *a, const int count) {
  UNROLL for (int j = 0; j < 4; j++) start = dot32(start, quads[j], a + 4 * j);
  if (count == 4) return start;
  vi second = splati(0);
  UNROLL for (int j = 4; j < 8; j++) second = dot32(second, quads[j], a + 4 * j);
  return start + second;
}

// Signed weights are biased to be unsigned: what sums are above comes off where they start.
#define SIGNED_BIAS 128
INLINE vec vec_signed(vec w) { return vec_flip(w); }
INLINE vi signed_dot(vi start, const vec *quads, const int8_t *a) {
  vi second = splati(0);
  UNROLL for (int j = 0; j < 8; j += 2) {
    start = dot32(start, quads[j], a + 4 * j);
    second = dot32(second, quads[j + 1], a + 4 * j + 4);
  }
  return start + second;
}
