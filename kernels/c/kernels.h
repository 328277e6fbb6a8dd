// The kernels' C interface. The numeric contract of each function is in kernels/kernels.ts.
#pragma once
#include <stdint.h>

// Quantised formats: number in GGUF files, name, columns of a block, bytes of a block in a GGUF row and in a tile.
#define STARLING_QUANTISED_FORMATS(X) \
  X(2, q4_0, 32, 18, 144)             \
  X(3, q4_1, 32, 20, 160)             \
  X(6, q5_0, 32, 22, 176)             \
  X(7, q5_1, 32, 24, 192)             \
  X(8, q8_0, 32, 34, 272)             \
  X(10, q2_k, 256, 84, 672)           \
  X(11, q3_k, 256, 110, 912)          \
  X(12, q4_k, 256, 144, 1184)         \
  X(13, q5_k, 256, 176, 1440)         \
  X(14, q6_k, 256, 210, 1680)         \
  X(20, iq4_nl, 32, 18, 144)          \
  X(23, iq4_xs, 256, 136, 1104)       \
  X(39, mxfp4, 32, 17, 136)

enum float_format { FORMAT_F32 = 0, FORMAT_F16 = 1, FORMAT_BF16 = 30 };

// Numbers of ACTIVATION_FUNCTIONS (kernels/formats.ts).
enum activation_function { SILU = 0, GELU = 1, CLAMPED = 2 };

enum activation_format { ACTIVATION_F32 = 0, ACTIVATION_Q8 = 1 };

// PANEL_BLOCK: bytes of a block of one row in a q8 panel.
enum { BLOCK = 32, ROW_GROUP = 8, KV_PAGE = 64, PANEL_BLOCK = 56 };

// A matrix of a tile.
typedef struct {
  const uint8_t *weights;
  int format, rows, cols;
} matrix;

// What computes tiles is given; see kernels/tile-work.ts.
typedef struct {
  // By activation format.
  const uint8_t *panels[2];
  uint8_t *inner[2], *inner_panel, *sums;
  int inner_stride, sum_stride;
} tile_buffers;

typedef struct {
  const uint32_t *positions, *tables, *pages;
  const float *rope;
} step_rows;

typedef struct {
  matrix gate, up, down;
  tile_buffers buffers;
  double limit;
  // NULL where there is none.
  const float *gate_bias, *up_bias;
  uint8_t *gathered;
  int activation;
} feed_forward_tile;

typedef struct {
  matrix k, v;
  tile_buffers buffers;
  step_rows step;
  uint8_t *cache;
  int kv_format, head_dim;
  // NULL where there is none.
  const float *k_bias, *v_bias, *k_norm, *k_factors;
  float eps;
} key_value_tile;

typedef struct {
  matrix q, out;
  tile_buffers buffers;
  step_rows step;
  double limit;
  float scale;
  int kv_format, head_dim, group, cache_count;
  // NULL, or 0, where there is none.
  const float *q_bias, *q_norm, *q_factors, *sinks;
  float eps, soft_cap;
  int window;
  uint8_t *caches[];
} attention_tile;

// name, result, parameters: one row a kernel, from which declarations, the dispatch table and the exports are made.
#define STARLING_KERNELS(X)                                                                                            \
  X(matmul, void, (int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *panel, int rows,         \
                   uint8_t *out, int out_stride))                                                                      \
  X(matmul_sums, int, (int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *panel, int rows,     \
                       uint8_t *sums, int sum_stride, double limit, int fresh, const uint32_t *list))                  \
  X(pack_panel, void, (int format, const uint8_t *x, int x_stride, int cols, int rows, uint8_t *out))                  \
  X(gather_panel, void, (int format, const uint8_t *panel, int cols, int rows, const uint32_t *list, int count,        \
                         uint8_t *out))                                                                                \
  X(quantize_panel, int, (const uint8_t *x, int x_stride, int cols, int rows, uint8_t *out))                           \
  X(quantize, int, (const uint8_t *x, int x_stride, int cols, int rows, uint8_t *out, int out_stride))                 \
  X(rmsnorm, void, (const uint8_t *x, int x_stride, const float *weight, int dim, int cols, int rows, float eps,       \
                    uint8_t *out, int out_stride))                                                                     \
  X(rope, void, (float *x, int heads, int head_dim, const float *table))                                               \
  X(glu, void, (int activation, float *gate, const float *up, int n))                                                  \
  X(kv_store, void, (int format, const float *k, const float *v, int head_dim, uint8_t *page, int slot))               \
  X(attend, void, (int format, const uint8_t *q, int q_stride, int rows, int heads, int head_dim, float scale,         \
                   uint8_t *kv, const uint32_t *pages, int positions, uint8_t *out, int out_stride, int window,        \
                   float soft_cap, const float *sinks))                                                                \
  X(add_scaled, void, (float *x, const float *y, float scale, int n))                                                  \
  X(scale_rows, void, (uint8_t *x, int x_stride, const float *factors, int cols, int rows))                            \
  X(apply_norm, void, (float *x, const float *weight, const float *factor, int n))                                     \
  X(add_sums, void, (double *dst, const double *src, int n))                                                           \
  X(from_sums, void, (const double *sums, int n, float *out))                                                          \
  X(residual, void, (float *x, const double *sums, int n))                                                             \
  X(pack_sums, int, (const double *sums, int n, uint8_t *out))                                                         \
  X(unpack_sums, int, (const uint8_t *packed, int length, int n, double *sums))                                        \
  X(repack, int, (int format, const uint8_t *source, int source_stride, int rows, int cols, uint8_t *out,              \
                  int out_rows, int out_cols))                                                                         \
  X(feed_forward, int, (const feed_forward_tile *tile, int first, int rows, int fresh))                                \
  X(expert, int, (const feed_forward_tile *tile, int first, int rows, const uint32_t *list, const float *weights,      \
                  int count, int fresh))                                                                               \
  X(key_value, void, (const key_value_tile *tile, int first, int rows))                                                \
  X(queries_of, void, (const attention_tile *tile, int first, int rows))                                               \
  X(attention, int, (const attention_tile *tile, int first, int rows, int fresh))

#define STARLING_FIELD(name, result, parameters) result(*name) parameters;
typedef struct { STARLING_KERNELS(STARLING_FIELD) } starling_kernels;

// The product for an even number of row groups (matmul-wide.c), to a `destination`.
void starling_matmul_wide(int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *panel, int rows, void *to);
