// Matrix × rows of activations for every weight format, by the contract of Kernels.matmul.
#pragma once
#include "matmul-float.h"
#include "prefetch.h"
#include "weights.h"

#define BLOCK_BYTES(name, read, from, each, largest, below, scaled, min) name##_bytes = from + each,
#define SUPER_BYTES(name, read, from, each, largest, below, scaled, min) name##_bytes = from + 8 * each,
enum { BLOCK_FORMATS(BLOCK_BYTES) SUPER_FORMATS(SUPER_BYTES) };

// Each file has name##_rows, a product with as many rows as a constant says, in ROWS_CASE, and DEFINE_MATMUL_Q8.
#if ROW_BATCH == 8
#define ROWS_CASES(name)                                                                                               \
  ROWS_CASE(name, 1) ROWS_CASE(name, 2) ROWS_CASE(name, 3) ROWS_CASE(name, 4) ROWS_CASE(name, 5) ROWS_CASE(name, 6)    \
  ROWS_CASE(name, 7) ROWS_CASE(name, 8)
#else
#define ROWS_CASES(name) ROWS_CASE(name, 1) ROWS_CASE(name, 2) ROWS_CASE(name, 3) ROWS_CASE(name, 4)
#endif

#if defined(__AVX2__) && !defined(DOT32)
#include "matmul-spread.h"
#else
#include "matmul-direct.h"
#endif

#define DEFINE_FORMAT(number, name, block_cols, source_bytes, tile_bytes) \
  _Static_assert(name##_bytes == tile_bytes, "see BLOCK_FORMATS");       \
  DEFINE_MATMUL_Q8(name, block_cols)
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
