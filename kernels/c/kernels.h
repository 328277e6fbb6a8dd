// The kernels' C interface. The numeric contract of each function is in kernels/kernels.ts.
#pragma once
#include <stdint.h>

enum weight_format { FORMAT_F32 = 0, FORMAT_F16 = 1, FORMAT_Q4_0 = 2, FORMAT_Q8_0 = 8, FORMAT_BF16 = 30 };

enum { BLOCK = 32, ROW_GROUP = 8, KV_PAGE = 64 };

// name, result, parameters: one row a kernel, from which declarations, the dispatch table and the exports are made.
#define STARLING_KERNELS(X)                                                                                            \
  X(matmul, void, (int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *x, int x_stride,         \
                   int rows, uint8_t *out, int out_stride))                                                            \
  X(quantize, int, (const uint8_t *x, int x_stride, int cols, int rows, uint8_t *out, int out_stride))                 \
  X(rmsnorm, void, (const uint8_t *x, int x_stride, const float *weight, int dim, int cols, int rows, float eps,       \
                    uint8_t *out, int out_stride))                                                                     \
  X(rope, void, (float *x, int heads, int head_dim, const float *table))                                               \
  X(swiglu, void, (float *gate, const float *up, int n))                                                               \
  X(kv_store, void, (const float *k, const float *v, int head_dim, uint16_t *page, int slot))                          \
  X(attend, void, (const float *q, int heads, int head_dim, float scale, const uint16_t *kv, const uint32_t *pages,    \
                   int positions, float *out))                                                                         \
  X(accumulate, int, (const float *v, int n, double *sums, double limit))                                              \
  X(add_sums, void, (double *dst, const double *src, int n))                                                           \
  X(residual, void, (float *x, const double *sums, int n))                                                             \
  X(pack_sums, int, (const double *sums, int n, uint8_t *out))                                                         \
  X(unpack_sums, int, (const uint8_t *packed, int length, int n, double *sums))                                        \
  X(repack, int, (int format, const uint8_t *source, int source_stride, int rows, int cols, uint8_t *out,              \
                  int out_rows, int out_cols))

#define STARLING_FIELD(name, result, parameters) result(*name) parameters;
typedef struct { STARLING_KERNELS(STARLING_FIELD) } starling_kernels;
