// Where the rows of a product go: to f32, or into exact sums, by the contract of Kernels.matmul and Kernels.matmulSums.
#pragma once
#include "vec.h"

typedef struct {
  // First row: of f32, or of f64 sums.
  uint8_t *rows;
  // Bytes between rows.
  ptrdiff_t stride;
  int to_sums;
  // The sums hold nothing yet.
  int fresh;
  // Which rows of the sums the rows of the product are; NULL where they are the same.
  const uint32_t *list;
  // The row that a place was last asked for.
  int row;
  // Largest magnitudes that went into sums, as bits, which order them alike; infinity and NaN are above all others.
  v4i largest;
} destination;

// The place of output `o` of row `row`, from which put_rows goes on; without regard to a list.
INLINE uint8_t *place_of(destination *to, int row, int o) {
  to->row = row;
  return to->rows + row * to->stride + (ptrdiff_t)o * (to->to_sums ? 8 : 4);
}

INLINE vi larger(vi a, vi b) {
  const vi above = a > b;
  return (a & above) | (b & ~above);
}

// Sums that are added to at a time; the i-th such part of LANES values, as f64.
#if LANES == 16
typedef double vd __attribute__((vector_size(64)));
INLINE vd doubles(vf v, const int i) { return (vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)v, i)); }
#elif defined(__AVX2__)
typedef v4d vd;
INLINE vd doubles(vf v, const int i) { return (vd)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, i)); }
#else
typedef v4d vd;
INLINE vd doubles(vf v, const int i) {
  v4f four;
  memcpy(&four, (const char *)&v + 16 * i, 16);
  return to_double4(four);
}
#endif

// sums += roundTiesToEven(v · 2^24)
INLINE void add_exactly(vd v, uint8_t *sums, const int fresh) {
  // Rounds to nearest even below 2^51; an f32 that large is a multiple of 2^28 and stays exact.
  const vd magic = 0x1.8p52 - (vd){0};
  vd total = (v * 0x1p24 + magic) - magic;
  if (!fresh) {
    vd before;
    memcpy(&before, sums, sizeof(vd));
    total = before + total;
  }
  memcpy(sums, &total, sizeof(vd));
}

INLINE void add_row(vf value, uint8_t *sums, const int fresh) {
  UNROLL for (int i = 0; i < (int)(2 * sizeof(vf) / sizeof(vd)); i++) {
    add_exactly(doubles(value, i), sums + (int)sizeof(vd) * i, fresh);
  }
}

INLINE void note_largest(destination *to, vi largest) {
  UNROLL for (int i = 0; i < LANES / 4; i++) {
    v4i four;
    memcpy(&four, (const char *)&largest + 16 * i, 16);
    const v4i above = four > to->largest;
    to->largest = (four & above) | (to->largest & ~above);
  }
}

// The rows of a list: each has a place of its own.
NOINLINE void put_listed(const vf *values, int rows, destination *to, uint8_t *at) {
  vi largest = splati(0);
  for (int r = 0; r < rows; r++) {
    const ptrdiff_t apart = (ptrdiff_t)to->list[to->row + r] - to->row;
    largest = larger(largest, (vi)values[r] & 0x7fffffff);
    add_row(values[r], at + apart * to->stride, to->fresh);
  }
  note_largest(to, largest);
}

// LANES outputs of `rows` rows; `at` is the place of the first.
INLINE void put_rows(const vf *values, const int rows, destination *to, uint8_t *at) {
  if (!to->to_sums) {
    UNROLL for (int r = 0; r < rows; r++) memcpy(at + r * to->stride, &values[r], sizeof(vf));
    return;
  }
  if (to->list != NULL) {
    put_listed(values, rows, to, at);
    return;
  }
  // Read once: what is stored might be these.
  const ptrdiff_t stride = to->stride;
  const int fresh = to->fresh;
  vi largest = splati(0);
  UNROLL for (int r = 0; r < rows; r++) {
    largest = larger(largest, (vi)values[r] & 0x7fffffff);
    add_row(values[r], at + r * stride, fresh);
  }
  note_largest(to, largest);
}

// Whether all that went into sums was finite and |v · 2^24| at most `limit`.
INLINE int within(const destination *to, double limit) {
  int fine = 1;
  for (int i = 0; i < 4; i++) {
    const int32_t bits = to->largest[i];
    float value;
    memcpy(&value, &bits, 4);
    fine &= (double)value * 0x1p24 <= limit;
  }
  return fine;
}
