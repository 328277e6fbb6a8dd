// Starling's arithmetic. One source for every target: compiled once for each instruction set of the native addon (each
// build exports its table under STARLING_TABLE) and for WebAssembly (which exports the functions themselves).
// Multiply then add, never fused: build with -ffp-contract=off and never with -ffast-math.
#include "attention.h"
#include "glu.h"
#include "kernels.h"
#include "matmul.h"
#include "panel.h"
#include "repack.h"

#if defined(__wasm__)
#define KERNEL(name) __attribute__((export_name(#name)))
#else
#define KERNEL(name) static
#endif

#if defined(STARLING_WIDE)
// Bytes of a row group.
static ptrdiff_t group_bytes(int format, int cols) {
  switch (format) {
#define GROUP_CASE(number, name, block_cols, source_bytes, tile_bytes) \
  case number: return (ptrdiff_t)(cols / block_cols) * tile_bytes;
    STARLING_QUANTISED_FORMATS(GROUP_CASE)
    case FORMAT_F32: return (ptrdiff_t)cols * 4 * ROW_GROUP;
    default: return (ptrdiff_t)cols * 2 * ROW_GROUP;
  }
}
#endif

static void multiply(int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *panel, int rows,
                     destination *to) {
#if defined(STARLING_WIDE)
  // Few rows are bound by memory, which one stream reads best; for more, two row groups at a time halve the instructions.
  if (rows > 4) {
    const int pairs = out_rows / (2 * ROW_GROUP) * (2 * ROW_GROUP);
    starling_matmul_wide(format, weights, pairs, cols, panel, rows, to);
    weights += pairs / ROW_GROUP * group_bytes(format, cols);
    to->rows = place_of(to, 0, pairs);
    out_rows -= pairs;
  }
#endif
  matmul_format(format, weights, out_rows, cols, panel, rows, to);
}

KERNEL(matmul)
void matmul(int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *panel, int rows, uint8_t *out,
            int out_stride) {
  destination to = {.rows = out, .stride = out_stride};
  multiply(format, weights, out_rows, cols, panel, rows, &to);
}

KERNEL(matmul_sums)
int matmul_sums(int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *panel, int rows, uint8_t *sums,
                int sum_stride, double limit, int fresh, const uint32_t *list) {
  destination to = {.rows = sums, .stride = sum_stride, .to_sums = 1, .fresh = fresh, .list = list};
  multiply(format, weights, out_rows, cols, panel, rows, &to);
  return within(&to, limit);
}

KERNEL(pack_panel)
void pack_panel(int format, const uint8_t *x, int x_stride, int cols, int rows, uint8_t *out) {
  if (format == ACTIVATION_F32) pack_floats(x, x_stride, cols, rows, (float *)out);
  else pack_blocks(x, x_stride, cols, rows, (q8_block *)out);
}

KERNEL(gather_panel)
void gather_panel(int format, const uint8_t *panel, int cols, int rows, const uint32_t *list, int count, uint8_t *out) {
  if (format == ACTIVATION_F32) gather_floats((const float *)panel, cols, rows, list, count, (float *)out);
  else gather_blocks((const q8_block *)panel, cols, rows, list, count, (q8_block *)out);
}

KERNEL(quantize_panel)
int quantize_panel(const uint8_t *x, int x_stride, int cols, int rows, uint8_t *out) {
  return quantize_blocks(x, x_stride, cols, rows, (q8_block *)out);
}

KERNEL(quantize)
int quantize(const uint8_t *x, int x_stride, int cols, int rows, uint8_t *out, int out_stride) {
  const int blocks = cols / BLOCK;
  v8i finite = splat8i(-1);
  for (int r = 0; r < rows; r++, x += x_stride, out += out_stride) {
    uint8_t *const scales = out + cols, *const sums = scales + blocks * 4;
    for (int b = 0; b < blocks; b++) {
      int16_t sum[2];
      const float scale = quantize_block((const float *)x + b * BLOCK, (int8_t *)out + b * BLOCK, sum, &finite);
      memcpy(scales + b * 4, &scale, 4);
      memcpy(sums + b * 4, sum, 4);
    }
  }
  return all8(finite);
}

KERNEL(rmsnorm)
void rmsnorm(const uint8_t *x, int x_stride, const float *weight, int dim, int cols, int rows, float eps, uint8_t *out,
             int out_stride) {
  for (int r = 0; r < rows; r++, x += x_stride, out += out_stride) {
    const float *row = (const float *)x;
    float *y = (float *)out;
    v8f squares = splat8(0.0f);
    for (int c = 0; c < cols; c += 8) {
      const v8f v = load8(row + c);
      squares = squares + v * v;
    }
    const float mean = tree8(squares) / (float)dim;
    const v8f inverse = splat8(1.0f / __builtin_sqrtf(mean + eps));
    for (int c = 0; c < cols; c += 8) store8(y + c, (load8(row + c) * inverse) * load8(weight + c));
  }
}

KERNEL(rope)
void rope(float *x, int heads, int head_dim, const float *table) {
  for (int h = 0; h < heads; h++, x += head_dim) {
    for (int d = 0; d < head_dim; d += 2) {
      const float a = x[d], b = x[d + 1], cosine = table[d], sine = table[d + 1];
      x[d] = a * cosine - b * sine;
      x[d + 1] = a * sine + b * cosine;
    }
  }
}

KERNEL(glu)
void glu(int activation, float *gate, const float *up, int n) {
  switch (activation) {
    case SILU: glu_rows(SILU, gate, up, n); break;
    case GELU: glu_rows(GELU, gate, up, n); break;
    default: glu_rows(CLAMPED, gate, up, n);
  }
}

KERNEL(kv_store)
void kv_store(int format, const float *k, const float *v, int head_dim, uint8_t *page, int slot) {
  if (format == KV_F16) store_f16(k, v, head_dim, (uint16_t *)page, slot);
  else store_q8(k, v, head_dim, page, slot);
}

// Kernels.attend; `after` is the page that is needed after these, or NULL.
static void attend_before(int format, const uint8_t *q, int q_stride, int rows, int heads, int head_dim, float scale, uint8_t *kv,
                          const uint32_t *pages, int positions, uint8_t *out, int out_stride, int window, float soft_cap,
                          const float *sinks, const uint8_t *after) {
  const int all = rows * heads;
  for (int done = 0; done < all; done += QUERIES) {
    const int count = smaller(QUERIES, all - done);
    queries batch;
    const float *query[QUERIES];
    int seen[QUERIES];
    batch.head_dim = head_dim;
    batch.soft_cap = soft_cap;
    for (int i = 0; i < count; i++) {
      const int row = (done + i) / heads, head = (done + i) % heads;
      query[i] = (const float *)(q + (ptrdiff_t)row * q_stride) + (ptrdiff_t)head * head_dim;
      batch.out[i] = (float *)(out + (ptrdiff_t)row * out_stride) + (ptrdiff_t)head * head_dim;
      batch.sink[i] = sinks == NULL ? NULL : sinks + head;
      seen[i] = positions + row;
    }
    (format == KV_F16 ? attend_f16 : attend_q8)(&batch, query, seen, count, scale, window, kv, pages, after);
  }
}

KERNEL(attend)
void attend(int format, const uint8_t *q, int q_stride, int rows, int heads, int head_dim, float scale, uint8_t *kv,
            const uint32_t *pages, int positions, uint8_t *out, int out_stride, int window, float soft_cap,
            const float *sinks) {
  attend_before(format, q, q_stride, rows, heads, head_dim, scale, kv, pages, positions, out, out_stride, window, soft_cap,
                sinks, NULL);
}

KERNEL(add_scaled)
void add_scaled(float *x, const float *y, float scale, int n) {
  for (int i = 0; i < n; i += 8) store8(x + i, load8(x + i) + splat8(scale) * load8(y + i));
}

KERNEL(scale_rows)
void scale_rows(uint8_t *x, int x_stride, const float *factors, int cols, int rows) {
  for (int r = 0; r < rows; r++, x += x_stride) {
    for (int c = 0; c < cols; c += 8) store8((float *)x + c, load8((float *)x + c) * splat8(factors[r]));
  }
}

KERNEL(apply_norm)
void apply_norm(float *x, const float *weight, const float *factor, int n) {
  for (int i = 0; i < n; i += 8) store8(x + i, load8(x + i) * splat8(*factor) * load8(weight + i));
}

KERNEL(add_sums)
void add_sums(double *dst, const double *src, int n) {
  for (int i = 0; i < n; i += 4) store4d(dst + i, load4d(dst + i) + load4d(src + i));
}

KERNEL(from_sums)
void from_sums(const double *sums, int n, float *out) {
  const v4d unit = {0x1p-24, 0x1p-24, 0x1p-24, 0x1p-24};
  for (int i = 0; i < n; i += 4) {
    const v4f value = to_float4(load4d(sums + i) * unit);
    memcpy(out + i, &value, 16);
  }
}

KERNEL(residual)
void residual(float *x, const double *sums, int n) {
  const v4d unit = {0x1p-24, 0x1p-24, 0x1p-24, 0x1p-24};
  for (int i = 0; i < n; i += 4) {
    v4f value;
    memcpy(&value, x + i, 16);
    value = to_float4(to_double4(value) + load4d(sums + i) * unit);
    memcpy(x + i, &value, 16);
  }
}

KERNEL(pack_sums)
int pack_sums(const double *sums, int n, uint8_t *out) {
  uint8_t *const start = out;
  for (int i = 0; i < n; i += BLOCK) {
    int64_t value[BLOCK];
    uint64_t magnitude = 0;
    for (int j = 0; j < BLOCK; j++) {
      value[j] = (int64_t)sums[i + j];
      magnitude |= (uint64_t)(value[j] ^ (value[j] >> 63));
    }
    // Bits needed: those of the magnitude and a sign.
    const int bits = 65 - __builtin_clzll(magnitude | 1);
    const int width = bits <= 16 ? 2 : (bits + 7) / 8;
    *out++ = (uint8_t)width;
    // Whole words, of which the next one overwrites what is too much: there is room for 8 bytes a sum. All targets are little-endian.
    for (int j = 0; j < BLOCK; j++, out += width) memcpy(out, &value[j], 8);
  }
  return (int)(out - start);
}

// Adds a block of sums of one width. `safe` bytes from `packed` on may be read.
INLINE int unpack_block(const uint8_t *packed, long safe, int width, double *sums) {
  const int64_t largest = (int64_t)1 << 53;
  const int spare = 64 - 8 * width;
  int beyond = 0;
  for (int j = 0; j < BLOCK; j++, packed += width, safe -= width) {
    uint64_t bits = 0;
    // A whole word, of which what is too much is shifted out; not beyond the end.
    if (safe >= 8) memcpy(&bits, packed, 8);
    else for (int byte = 0; byte < width; byte++) bits |= (uint64_t)packed[byte] << (8 * byte);
    const int64_t value = (int64_t)(bits << spare) >> spare;
    beyond |= (value > largest) | (value < -largest);
    sums[j] += (double)value;
  }
  return !beyond;
}
KERNEL(unpack_sums)
int unpack_sums(const uint8_t *packed, int length, int n, double *sums) {
  const uint8_t *const end = packed + length;
  for (int i = 0; i < n; i += BLOCK) {
    if (packed == end) return 0;
    const int width = *packed++;
    if (width < 2 || width > 8 || end - packed < width * BLOCK) return 0;
    // The width of nearly every block, with its shifts as constants.
    const int fits = width == 4 ? unpack_block(packed, end - packed, 4, sums + i)
                                : unpack_block(packed, end - packed, width, sums + i);
    if (!fits) return 0;
    packed += width * BLOCK;
  }
  return packed == end;
}

KERNEL(repack)
int repack(int format, const uint8_t *source, int source_stride, int rows, int cols, uint8_t *out, int out_rows,
           int out_cols) {
  const size_t values = (size_t)out_rows * (size_t)out_cols;
  switch (format) {
#define REPACK_CASE(number, name, block_cols, source_bytes, tile_bytes)                                              \
  case number:                                                                                                       \
    memset(out, 0, values / (ROW_GROUP * block_cols) * tile_bytes);                                                  \
    return repack_rows(source, source_stride, rows, cols, out, out_cols, block_cols, source_bytes, tile_bytes,       \
                       repack_##name);
    STARLING_QUANTISED_FORMATS(REPACK_CASE)
    case FORMAT_F32: memset(out, 0, values * 4); return repack_f32(source, source_stride, rows, cols, out, out_cols);
    case FORMAT_F16: memset(out, 0, values * 2); return repack_f16(source, source_stride, rows, cols, out, out_cols);
    case FORMAT_BF16: memset(out, 0, values * 2); return repack_bf16(source, source_stride, rows, cols, out, out_cols);
  }
  return 0;
}

#if !defined(__wasm__)
#include "tiles.h"

#define STARLING_ENTRY(name, result, parameters) .name = name,
const starling_kernels STARLING_TABLE = {STARLING_KERNELS(STARLING_ENTRY)};
#endif
