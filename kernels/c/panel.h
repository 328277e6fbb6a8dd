// Rows of q8 activations arranged for products: in batches of up to ROW_BATCH rows one after the other, and within a batch block by
// block and row by row, so that all addresses of a product are one and a constant.
#pragma once
#include "kernels.h"
#include "simd.h"

// Activation rows that share one unpacked block of weights: what the registers hold beside it.
#if defined(__AVX512F__)
#define ROW_BATCH 8
#else
#define ROW_BATCH 4
#endif

// A block of one row.
typedef struct {
  int8_t q[BLOCK];
  float scale;
  // f32(scale · f32(s0 + s1))
  float weighted;
  int16_t sums[2];
  // −8 · (s0 + s1): what weights from 0 to 15 are above those from −8 to 7
  int32_t minus8;
} q8_block;

// Rows of the batch that begins at row `from`.
INLINE int batch_at(int from, int rows) { return rows - from < ROW_BATCH ? rows - from : ROW_BATCH; }

INLINE void fill_panel(const uint8_t *x, int x_stride, int cols, int rows, q8_block *panel) {
  const int blocks = cols / BLOCK;
  for (int row = 0; row < rows; row++, x += x_stride) {
    const int first = row / ROW_BATCH * ROW_BATCH, batch = batch_at(first, rows);
    q8_block *to = panel + (ptrdiff_t)first * blocks + (row - first);
    const uint8_t *const scales = x + cols, *const sums = scales + blocks * 4;
    for (int b = 0; b < blocks; b++, to += batch) {
      memcpy(to->q, x + b * BLOCK, BLOCK);
      memcpy(&to->scale, scales + b * 4, 4);
      memcpy(to->sums, sums + b * 4, 4);
      const int32_t sum = to->sums[0] + to->sums[1];
      to->weighted = to->scale * (float)sum;
      to->minus8 = -8 * sum;
    }
  }
}
