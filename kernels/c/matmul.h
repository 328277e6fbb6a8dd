// Matrix × rows of activations for every weight format, by the contract of Kernels.matmul.
#pragma once
#include "matmul-float.h"
#include "weights.h"

// Two groups are two streams that jump from group to group, which the processor does not foresee. Asks for `bytes` from `offset` on,
// some blocks ahead.
INLINE void prefetch(groups p, int offset, int bytes) {
#if LANES == 16
  UNROLL for (int i = 0; i < bytes; i += 64) {
    __builtin_prefetch(p.first + 1024 + offset + i);
    __builtin_prefetch(p.second + 1024 + offset + i);
  }
#else
  (void)p;
  (void)offset;
  (void)bytes;
#endif
}

// Continues with what `at` holds, or begins.
INLINE void begin_rows(vf *acc, const int rows, int first, const destination *to, const uint8_t *at) {
  UNROLL for (int r = 0; r < rows; r++) {
    if (first) acc[r] = splatf(0.0f);
    else memcpy(&acc[r], at + r * to->stride, sizeof(vf));
  }
}

// LANES outputs of a batch over `blocks` blocks, added to what was put before unless these are the first.
#define DEFINE_BLOCK_ROWS(name, bytes, has_min)                                                                        \
  INLINE void name##_rows(groups p, const int half, int blocks, const q8_block *x, const int rows, int first,          \
                          destination *to, uint8_t *at) {                                                              \
    vf acc[ROW_BATCH];                                                                                                 \
    begin_rows(acc, rows, first, to, at);                                                                              \
    for (int b = 0; b < blocks; b++, p = part(p, bytes), x += rows) {                                                  \
      unpacked u;                                                                                                      \
      prefetch(p, 0, bytes);                                                                                           \
      name##_unpack(p, half, &u);                                                                                      \
      UNROLL for (int r = 0; r < rows; r++) {                                                                          \
        acc[r] = acc[r] + to_float(name##_dot(&u, x + r)) * (u.d * splatf(x[r].scale));                                \
        if (has_min) acc[r] = acc[r] + u.m * splatf(x[r].weighted);                                                    \
      }                                                                                                                \
    }                                                                                                                  \
    put_rows(acc, rows, to, at);                                                                                       \
  }

#define DEFINE_SUPER_ROWS(name, bytes, has_min)                                                                        \
  INLINE void name##_rows(groups p, const int half, int blocks, const q8_block *x, const int rows, int first,          \
                          destination *to, uint8_t *at) {                                                              \
    vf acc[ROW_BATCH], t[ROW_BATCH], m[ROW_BATCH];                                                                     \
    begin_rows(acc, rows, first, to, at);                                                                              \
    for (int b = 0; b < blocks; b += 8, p = part(p, bytes)) {                                                          \
      unpacked u;                                                                                                      \
      UNROLL for (int r = 0; r < rows; r++) t[r] = m[r] = splatf(0.0f);                                                \
      for (int j = 0; j < 8; j++, x += rows) {                                                                         \
        prefetch(p, j * (bytes / 8), bytes / 8);                                                                       \
        name##_unpack(p, half, j, &u);                                                                                 \
        UNROLL for (int r = 0; r < rows; r++) {                                                                        \
          t[r] = t[r] + to_float(name##_dot(&u, x + r)) * splatf(x[r].scale);                                          \
          if (has_min) m[r] = m[r] + name##_min(&u, x + r);                                                            \
        }                                                                                                              \
      }                                                                                                                \
      name##_head(p, half, &u);                                                                                        \
      UNROLL for (int r = 0; r < rows; r++) acc[r] = acc[r] + (has_min ? u.d * t[r] - u.m * m[r] : u.d * t[r]);        \
    }                                                                                                                  \
    put_rows(acc, rows, to, at);                                                                                       \
  }

#define ROWS_CASE(name, count) \
  case count: name##_rows(p, half, n, x, count, k == 0, to, at); break;
#if ROW_BATCH == 8
#define ROWS_CASES(name)                                                                                               \
  ROWS_CASE(name, 1) ROWS_CASE(name, 2) ROWS_CASE(name, 3) ROWS_CASE(name, 4) ROWS_CASE(name, 5) ROWS_CASE(name, 6)    \
  ROWS_CASE(name, 7) ROWS_CASE(name, 8)
#else
#define ROWS_CASES(name) ROWS_CASE(name, 1) ROWS_CASE(name, 2) ROWS_CASE(name, 3) ROWS_CASE(name, 4)
#endif

// Blocks of activations that all row groups pass before the next: 224 KiB, which second-level caches hold. Sums take a row's product
// whole.
#define PASS 4096

#define DEFINE_MATMUL_Q8(name, bytes, cols_of_block)                                                                   \
  NOINLINE void matmul_##name(const uint8_t *w, int out_rows, int cols, const q8_block *panel, int rows,               \
                              destination *to) {                                                                       \
    const int blocks = cols / BLOCK;                                                                                   \
    const ptrdiff_t group = (ptrdiff_t)(cols / cols_of_block) * bytes;                                                 \
    const int depth = to->to_sums || rows > PASS / 8 ? blocks : PASS / rows / 8 * 8;                                   \
    for (int k = 0; k < blocks; k += depth) {                                                                          \
      const int n = blocks - k < depth ? blocks - k : depth;                                                           \
      const uint8_t *weights = w + (ptrdiff_t)(k / (cols_of_block / BLOCK)) * bytes;                                   \
      for (int o = 0; o < out_rows; o += VECTOR_ROWS, weights += group * (VECTOR_ROWS / ROW_GROUP)) {                  \
        const groups p = groups_at(weights, group);                                                                    \
        for (int half = 0; half < HALVES; half++) {                                                                    \
          for (int r = 0; r < rows; r += ROW_BATCH) {                                                                  \
            const int batch = batch_at(r, rows);                                                                       \
            const q8_block *const x = panel + (ptrdiff_t)r * blocks + (ptrdiff_t)k * batch;                            \
            uint8_t *const at = place_of(to, r, o + LANES * half);                                                     \
            switch (batch) { ROWS_CASES(name) }                                                                        \
          }                                                                                                            \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }

DEFINE_BLOCK_ROWS(q8_0, 272, 0)
DEFINE_BLOCK_ROWS(q4_0, 144, 0)
DEFINE_BLOCK_ROWS(q4_1, 160, 1)
DEFINE_BLOCK_ROWS(q5_0, 176, 0)
DEFINE_BLOCK_ROWS(q5_1, 192, 1)
DEFINE_BLOCK_ROWS(iq4_nl, 144, 0)
DEFINE_BLOCK_ROWS(mxfp4, 136, 0)
DEFINE_SUPER_ROWS(q2_k, 672, 1)
DEFINE_SUPER_ROWS(q3_k, 912, 0)
DEFINE_SUPER_ROWS(q4_k, 1184, 1)
DEFINE_SUPER_ROWS(q5_k, 1440, 1)
DEFINE_SUPER_ROWS(q6_k, 1680, 0)
DEFINE_SUPER_ROWS(iq4_xs, 1104, 0)

#define DEFINE_FORMAT(number, name, block_cols, source_bytes, tile_bytes) DEFINE_MATMUL_Q8(name, tile_bytes, block_cols)
STARLING_QUANTISED_FORMATS(DEFINE_FORMAT)

INLINE void matmul_format(int format, const uint8_t *weights, int out_rows, int cols, const void *panel, int rows,
                          destination *to) {
  switch (format) {
#define MATMUL_CASE(number, name, block_cols, source_bytes, tile_bytes) \
  case number: matmul_##name(weights, out_rows, cols, panel, rows, to); break;
    STARLING_QUANTISED_FORMATS(MATMUL_CASE)
    case FORMAT_F32: matmul_f32(weights, out_rows, cols, panel, rows, to); break;
    case FORMAT_F16: matmul_f16(weights, out_rows, cols, panel, rows, to); break;
    case FORMAT_BF16: matmul_bf16(weights, out_rows, cols, panel, rows, to); break;
  }
}
