// vec.h in plain C, for processors that have none of the others.
#pragma once

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
INLINE vf load_scales(const void *p) {
  int16_t h[4];
  memcpy(h, p, sizeof(h));
  const vi words = {h[0], h[1], h[2], h[3]};
  return (vf)((words << 13) & (int32_t)0x8fffe000) * splatf(0x1p112f);
}

#define DOT32 1
#define SIGNED_BIAS 0
INLINE vec vec_signed(vec w) { return w; }
// Unsigned weights are at most 63, so they are signed bytes as well.
INLINE vi quads_dot(vi start, const vec *quads, const int8_t *a, const int count) {
  for (int j = 0; j < count; j++, a += 4) {
    for (int row = 0; row < 4; row++) {
      for (int i = 0; i < 4; i++) start[row] += (int8_t)quads[j][4 * row + i] * a[i];
    }
  }
  return start;
}
INLINE vi signed_dot(vi start, const vec *quads, const int8_t *a) { return quads_dot(start, quads, a, 8); }
