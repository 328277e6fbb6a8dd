// Rows of q8 activations arranged for products: in batches of up to ROW_BATCH rows one after the other, and within a batch block by
// block and row by row, so that all addresses of a product are one and a constant.
#pragma once
#include "kernels.h"
#include "quantize.h"
#include "vec.h"

// Activation rows that share one unpacked block of weights: what the registers hold beside it.
#if defined(__AVX2__)
#define ROW_BATCH 8
#else
#define ROW_BATCH 4
#endif

// The same for float formats: sizes of batches, largest first, each with how it is computed (matmul-float.h).
#if defined(__AVX512F__)
#define FLOAT_SIZES(X, name) \
  X(name, in_turn, 24) X(name, in_turn, 16) X(name, in_turn, 12) X(name, in_turn, 8) X(name, in_turn, 6) X(name, at_once, 3) \
  X(name, at_once, 2) X(name, at_once, 1)
#define FLOAT_BATCH 24
#elif defined(__wasm_simd128__)
#define FLOAT_SIZES(X, name) X(name, in_turn, 6) X(name, in_turn, 4) X(name, in_turn, 2) X(name, at_once, 1)
#define FLOAT_BATCH 6
#else
#define FLOAT_SIZES(X, name) \
  X(name, in_turn, 12) X(name, in_turn, 8) X(name, in_turn, 6) X(name, in_turn, 4) X(name, at_once, 1)
#define FLOAT_BATCH 12
#endif

// A block of one row.
typedef struct {
  int8_t q[BLOCK];
  float scale;
  // f32(scale · f32(s0 + s1))
  float weighted;
  int16_t sums[2];
#if defined(DOT32)
  // −8 · (s0 + s1): what weights from 0 to 15 are above those from −8 to 7
  int32_t minus8;
  // −32 · s0 and −32 · s1
  int32_t minus32[2];
#else
  // −4 times the sums of the columns that the two 16-bit lanes of a row take, of the block and of its halves
  int16_t minus4[2], minus4_half[2][2];
#endif
} q8_block;
_Static_assert(sizeof(q8_block) == PANEL_BLOCK, "see panelBytes (kernels/formats.ts)");

// Rows of the batch that begins at row `from`.
INLINE int batch_at(int from, int rows) { return rows - from < ROW_BATCH ? rows - from : ROW_BATCH; }

// Rows of the float batch that begins at row `from`.
INLINE int float_batch_at(int from, int rows) {
#define FLOAT_SIZE(name, kind, size) if (rows - from >= size) return size;
  FLOAT_SIZES(FLOAT_SIZE, )
  return 0;
}

// Where a row of a float panel begins, in floats; its columns are as far apart as its batch has rows.
INLINE ptrdiff_t float_row(int rows, int cols, int row, int *batch) {
  int first = 0;
  for (*batch = float_batch_at(0, rows); first + *batch <= row; *batch = float_batch_at(first, rows)) first += *batch;
  return (ptrdiff_t)first * cols + (row - first);
}

INLINE void pack_floats(const uint8_t *x, int x_stride, int cols, int rows, float *panel) {
  if (rows == 1) {
    memcpy(panel, x, (size_t)cols * 4);
    return;
  }
  for (int first = 0, batch; first < rows; first += batch) {
    batch = float_batch_at(first, rows);
    for (int c = 0; c < cols; c++) {
      for (int r = first; r < first + batch; r++) *panel++ = ((const float *)(x + (ptrdiff_t)r * x_stride))[c];
    }
  }
}

// What products take beside the quants.
INLINE void complete(q8_block *block, float scale, const int16_t *sums) {
  const int32_t sum = sums[0] + sums[1];
  block->scale = scale;
  memcpy(block->sums, sums, 4);
  block->weighted = scale * (float)sum;
#if defined(DOT32)
  block->minus8 = -8 * sum;
  for (int half = 0; half < 2; half++) block->minus32[half] = -32 * sums[half];
#else
  for (int half = 0; half < 2; half++) {
    int first = 0;
    for (int i = 16 * half; i < 16 * half + 16; i += 4) first += block->q[i] + block->q[i + 1];
    block->minus4_half[half][0] = (int16_t)(-4 * first);
    block->minus4_half[half][1] = (int16_t)(-4 * (sums[half] - first));
  }
  for (int lane = 0; lane < 2; lane++) {
    block->minus4[lane] = (int16_t)(block->minus4_half[0][lane] + block->minus4_half[1][lane]);
  }
#endif
}

// The place of a row's first block; the next is as many blocks on as its batch has rows.
INLINE q8_block *row_of(q8_block *panel, int row, int blocks) {
  const int first = row / ROW_BATCH * ROW_BATCH;
  return panel + (ptrdiff_t)first * blocks + (row - first);
}

INLINE void pack_blocks(const uint8_t *x, int x_stride, int cols, int rows, q8_block *panel) {
  const int blocks = cols / BLOCK;
  for (int row = 0; row < rows; row++, x += x_stride) {
    const int batch = batch_at(row / ROW_BATCH * ROW_BATCH, rows);
    q8_block *to = row_of(panel, row, blocks);
    for (int b = 0; b < blocks; b++, to += batch) {
      float scale;
      int16_t sums[2];
      memcpy(&scale, x + cols + b * 4, 4);
      memcpy(sums, x + cols + blocks * 4 + b * 4, 4);
      memcpy(to->q, x + b * BLOCK, BLOCK);
      complete(to, scale, sums);
    }
  }
}

// Some rows of a panel of `rows` rows as a panel of their own.
INLINE void gather_blocks(const q8_block *panel, int cols, int rows, const uint32_t *list, int count, q8_block *out) {
  const int blocks = cols / BLOCK;
  for (int i = 0; i < count; i++) {
    const int row = (int)list[i], from_batch = batch_at(row / ROW_BATCH * ROW_BATCH, rows);
    const int to_batch = batch_at(i / ROW_BATCH * ROW_BATCH, count);
    const q8_block *from = row_of((q8_block *)panel, row, blocks);
    q8_block *to = row_of(out, i, blocks);
    for (int b = 0; b < blocks; b++, from += from_batch, to += to_batch) *to = *from;
  }
}

INLINE void gather_floats(const float *panel, int cols, int rows, const uint32_t *list, int count, float *out) {
  for (int i = 0; i < count; i++) {
    int from_batch, to_batch;
    const float *const from = panel + float_row(rows, cols, (int)list[i], &from_batch);
    float *const to = out + float_row(count, cols, i, &to_batch);
    for (int c = 0; c < cols; c++) to[c * to_batch] = from[c * from_batch];
  }
}

INLINE int quantize_blocks(const uint8_t *x, int x_stride, int cols, int rows, q8_block *panel) {
  const int blocks = cols / BLOCK;
  v8i finite = splat8i(-1);
  for (int row = 0; row < rows; row++, x += x_stride) {
    const int batch = batch_at(row / ROW_BATCH * ROW_BATCH, rows);
    q8_block *to = row_of(panel, row, blocks);
    for (int b = 0; b < blocks; b++, to += batch) {
      int16_t sums[2];
      const float scale = quantize_block((const float *)x + b * BLOCK, to->q, sums, &finite);
      complete(to, scale, sums);
    }
  }
  return all8(finite);
}
