// Products of float formats: f32 activations, eight accumulators a row by column mod 8 (Kernels.matmul).
#pragma once
#include "destination.h"
#include "panel.h"
#include "prefetch.h"

INLINE vf load_f32(groups p) {
#if LANES == 16
  return (vf)_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps((const float *)p.first)),
                                _mm256_loadu_ps((const float *)p.second), 1);
#else
  vf v;
  memcpy(&v, p, sizeof(v));
  return v;
#endif
}
INLINE vf load_bf16(groups p) {
#if LANES == 16
  const __m256i halves = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p.first)),
                                                 _mm_loadu_si128((const __m128i *)p.second), 1);
  return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
#elif LANES == 8
  return load8_bf16(p);
#else
  typedef uint16_t halves __attribute__((vector_size(8)));
  halves h;
  memcpy(&h, p, 8);
  return (vf)(__builtin_convertvector(h, vi) << 16);
#endif
}

// Columns of which a batch's accumulators are computed one after the other: what they go over lies in the first-level cache.
#define FLOAT_DEPTH 128

INLINE vf tree(const vf *a, const ptrdiff_t step) {
  return ((a[0] + a[4 * step]) + (a[2 * step] + a[6 * step])) + ((a[step] + a[5 * step]) + (a[3 * step] + a[7 * step]));
}

// Many rows, whose eight accumulators have the registers in turn: a weight is converted once for all of them. The turns go over the
// columns in steps that the processor does not foresee.
#define DEFINE_FLOAT_IN_TURN(name, bytes, load)                                                                        \
  INLINE void name##_in_turn(groups p, int cols, const float *x, const int rows, destination *to, uint8_t *at) {       \
    vf a[8][FLOAT_BATCH], sum[FLOAT_BATCH];                                                                            \
    memset(a, 0, sizeof(a));                                                                                           \
    for (int from = 0; from < cols; from += FLOAT_DEPTH) {                                                             \
      const int end = cols - from < FLOAT_DEPTH ? cols : from + FLOAT_DEPTH;                                           \
      for (int s = 0; s < 8; s++) {                                                                                    \
        vf acc[FLOAT_BATCH];                                                                                           \
        ask_for(part(p, (ptrdiff_t)end * bytes + s * (FLOAT_DEPTH / 8 * bytes)), FLOAT_DEPTH / 8 * bytes);             \
        UNROLL_ROWS for (int r = 0; r < rows; r++) acc[r] = a[s][r];                                                   \
        for (int c = from + s; c < end; c += 8) {                                                                      \
          const vf weight = load(part(p, (ptrdiff_t)c * bytes));                                                       \
          UNROLL_ROWS for (int r = 0; r < rows; r++) acc[r] = acc[r] + weight * splatf(x[c * rows + r]);               \
        }                                                                                                              \
        UNROLL_ROWS for (int r = 0; r < rows; r++) a[s][r] = acc[r];                                                   \
      }                                                                                                                \
    }                                                                                                                  \
    for (int r = 0; r < rows; r++) sum[r] = tree(&a[0][r], FLOAT_BATCH);                                               \
    put_rows(sum, rows, to, at);                                                                                       \
  }

// A few rows, which have all their accumulators in registers: weights pass in order, as memory gives them best.
#define DEFINE_FLOAT_AT_ONCE(name, bytes, load)                                                                        \
  INLINE void name##_at_once(groups p, int cols, const float *x, const int rows, destination *to, uint8_t *at) {       \
    vf a[3][8], sum[3];                                                                                                \
    UNROLL for (int r = 0; r < rows; r++) {                                                                            \
      UNROLL for (int s = 0; s < 8; s++) a[r][s] = splatf(0.0f);                                                       \
    }                                                                                                                  \
    for (int c = 0; c < cols; c += 8) {                                                                                \
      if (LANES != 16) prefetch(part(p, AHEAD + (ptrdiff_t)c * bytes), 8 * bytes);                                     \
      UNROLL for (int s = 0; s < 8; s++) {                                                                             \
        const vf weight = load(part(p, (ptrdiff_t)(c + s) * bytes));                                                   \
        UNROLL for (int r = 0; r < rows; r++) a[r][s] = a[r][s] + weight * splatf(x[(c + s) * rows + r]);              \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int r = 0; r < rows; r++) sum[r] = tree(a[r], 1);                                                      \
    put_rows(sum, rows, to, at);                                                                                       \
  }

#define FLOAT_CASE(name, kind, size) case size: name##_##kind(p, cols, x, size, to, at); break;

#define DEFINE_MATMUL_FLOAT(name, bytes, load)                                                                         \
  DEFINE_FLOAT_AT_ONCE(name, bytes, load)                                                                              \
  DEFINE_FLOAT_IN_TURN(name, bytes, load)                                                                              \
  NOINLINE void matmul_##name(const uint8_t *w, int out_rows, int cols, const float *panel, int rows,                  \
                              destination *to) {                                                                       \
    const ptrdiff_t group = (ptrdiff_t)cols * bytes;                                                                   \
    for (int o = 0; o < out_rows; o += VECTOR_ROWS, w += group * (VECTOR_ROWS / ROW_GROUP)) {                          \
      for (int half = 0; half < HALVES; half++) {                                                                      \
        const groups p = part(groups_at(w, group), (bytes / 2) * half);                                                \
        for (int r = 0, batch; r < rows; r += batch) {                                                                 \
          batch = float_batch_at(r, rows);                                                                             \
          const float *const x = panel + (ptrdiff_t)r * cols;                                                          \
          uint8_t *const at = place_of(to, r, o + LANES * half);                                                       \
          switch (batch) { FLOAT_SIZES(FLOAT_CASE, name) }                                                             \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }

DEFINE_MATMUL_FLOAT(f32, 32, load_f32)
DEFINE_MATMUL_FLOAT(f16, 16, load_scales)
DEFINE_MATMUL_FLOAT(bf16, 16, load_bf16)
