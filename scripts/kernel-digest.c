// Runs the kernels of one target on pseudo-random inputs and prints a digest of what each gives. Two targets agree when they print
// the same (scripts/check-targets.mjs). Built with -DSTARLING_TABLE= the name of the kernels' table that it is linked with.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/c/kernels.h"

extern const starling_kernels STARLING_TABLE;
#define kernels STARLING_TABLE

static uint64_t state = 88172645463325252u;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static float uniform(void) { return (float)((double)(next() >> 40) / (1 << 23) - 1.0); }

static void *buffer(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
  memset(p, 0, bytes);
  return p;
}

// FNV-1a
static void digest(const char *name, const void *data, size_t bytes) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const uint8_t *)data)[i]) * 1099511628211u;
  printf("%s %016llx\n", name, (unsigned long long)hash);
}

enum { COLS = 512, OUT_ROWS = 40, ROWS = 11, STRIDE = COLS + COLS / 32 * 8 };

// Makes the f16 at an offset of each source block finite, of ordinary size.
static void tame(uint8_t *source, size_t bytes, int block, int offset) {
  for (size_t at = 0; at + block <= bytes; at += block) source[at + offset + 1] &= 0xbb;
}

static void check_format(int number, const char *name, int block_cols, int source_bytes, int tile_bytes, const uint8_t *x) {
  const int stride = COLS / block_cols * source_bytes;
  const size_t bytes = (size_t)stride * OUT_ROWS;
  uint8_t *source = buffer(bytes);
  uint8_t *tile = buffer((size_t)OUT_ROWS / 8 * (COLS / block_cols) * tile_bytes);
  float *out = buffer(sizeof(float) * ROWS * OUT_ROWS);
  for (size_t i = 0; i < bytes; i++) source[i] = (uint8_t)next();
  switch (number) {
    case 3: case 7: case 12: case 13: tame(source, bytes, source_bytes, 2); tame(source, bytes, source_bytes, 0); break;
    case 10: tame(source, bytes, source_bytes, 80); tame(source, bytes, source_bytes, 82); break;
    case 11: tame(source, bytes, source_bytes, 108); break;
    case 14: tame(source, bytes, source_bytes, 208); break;
    case 39: for (size_t at = 0; at < bytes; at += source_bytes) source[at] = (uint8_t)(100 + source[at] % 40); break;
    default: tame(source, bytes, source_bytes, 0);
  }
  const int finite = kernels.repack(number, source, stride, OUT_ROWS, COLS, tile, OUT_ROWS, COLS);
  if (!finite) printf("%s not finite\n", name);
  uint8_t *panel = buffer(ROWS * COLS / BLOCK * PANEL_BLOCK);
  kernels.pack_panel(ACTIVATION_Q8, x, STRIDE, COLS, ROWS, panel);
  kernels.matmul(number, tile, OUT_ROWS, COLS, panel, ROWS, (uint8_t *)out, OUT_ROWS * 4);
  digest(name, out, sizeof(float) * ROWS * OUT_ROWS);
  free(panel);
  free(source);
  free(tile);
  free(out);
}

int main(void) {
  float *x = buffer(sizeof(float) * ROWS * COLS), *y = buffer(sizeof(float) * ROWS * COLS);
  uint8_t *q = buffer((size_t)STRIDE * ROWS);
  for (int i = 0; i < ROWS * COLS; i++) x[i] = uniform() * 4;
  if (!kernels.quantize((uint8_t *)x, COLS * 4, COLS, ROWS, q, STRIDE)) return 1;
  digest("quantize", q, (size_t)STRIDE * ROWS);

#define CHECK(number, name, block_cols, source_bytes, tile_bytes) \
  check_format(number, #name, block_cols, source_bytes, tile_bytes, q);
  STARLING_QUANTISED_FORMATS(CHECK)

  float *out = buffer(sizeof(float) * ROWS * OUT_ROWS);
  uint8_t *panel = buffer(sizeof(float) * ROWS * COLS);
  kernels.pack_panel(ACTIVATION_F32, (uint8_t *)x, COLS * 4, COLS, ROWS, panel);
  const int floats[] = {FORMAT_F32, FORMAT_F16, FORMAT_BF16};
  for (int f = 0; f < 3; f++) {
    uint8_t *tile = buffer((size_t)OUT_ROWS * COLS * 4);
    for (int i = 0; i < OUT_ROWS * COLS; i++) {
      const float value = uniform();
      uint32_t bits;
      memcpy(&bits, &value, 4);
      const uint16_t upper = floats[f] == FORMAT_BF16 ? (uint16_t)(bits >> 16) : (uint16_t)(next() & 0xbbff);
      if (f == 0) memcpy(tile + 4 * i, &bits, 4);
      else memcpy(tile + 2 * i, &upper, 2);
    }
    kernels.matmul(floats[f], tile, OUT_ROWS, COLS, panel, ROWS, (uint8_t *)out, OUT_ROWS * 4);
    digest(f == 0 ? "f32" : f == 1 ? "f16" : "bf16", out, sizeof(float) * ROWS * OUT_ROWS);
    free(tile);
  }

  float *weight = buffer(COLS * 4);
  for (int i = 0; i < COLS; i++) weight[i] = uniform();
  kernels.rmsnorm((uint8_t *)x, COLS * 4, weight, COLS, COLS, ROWS, 1e-5f, (uint8_t *)y, COLS * 4);
  digest("rmsnorm", y, sizeof(float) * ROWS * COLS);
  const char *const units[] = {"swiglu", "geglu", "clamped glu"};
  for (int activation = SILU; activation <= CLAMPED; activation++) {
    kernels.glu(activation, y, x, ROWS * COLS);
    digest(units[activation], y, sizeof(float) * ROWS * COLS);
    for (int i = 0; i < ROWS * COLS; i++) y[i] *= 40;
  }
  kernels.rmsnorm((uint8_t *)y, 40 * 4, weight, 40, 40, ROWS * COLS / 40, 1e-6f, (uint8_t *)y, 40 * 4);
  digest("rmsnorm in place", y, sizeof(float) * ROWS * COLS);
  kernels.add_scaled(y, x, 0.3f, ROWS * COLS);
  digest("add_scaled", y, sizeof(float) * ROWS * COLS);
  kernels.rope(y, 8, 64, x);
  digest("rope", y, sizeof(float) * COLS);

  enum { HEAD = 64, PAGES = 3, POSITIONS = 150 };
  uint8_t *attended = buffer(sizeof(float) * 3 * HEAD * (POSITIONS - 119));
  // By format: its number, and bytes of a page (kvPageBytes in kernels/formats.ts).
  const struct { const char *name; int number; size_t page_bytes; } kv_formats[] = {
      {"f16", 1, KV_PAGE * HEAD * 4}, {"q8", 8, KV_PAGE * (2 * HEAD + 2 * (HEAD / 32 + 1))}};
  for (int f = 0; f < 2; f++) {
    const size_t page_bytes = kv_formats[f].page_bytes;
    uint8_t *kv = buffer(page_bytes * PAGES);
    const uint32_t pages[PAGES] = {2, 0, 1};
    char name[32];
    for (int p = 0; p < POSITIONS; p++) {
      for (int d = 0; d < COLS; d++) x[d] = uniform() * 3;
      kernels.kv_store(kv_formats[f].number, x, x + HEAD, HEAD, kv + pages[p / KV_PAGE] * page_bytes, p % KV_PAGE);
    }
    snprintf(name, sizeof(name), "kv_store %s", kv_formats[f].name);
    digest(name, kv, page_bytes * PAGES);
    // Rows that see 120 to 150 positions, so that some end in another page than others.
    kernels.attend(kv_formats[f].number, (uint8_t *)x, HEAD * 4, POSITIONS - 119, 3, HEAD, 0.125f, kv, pages, 120, attended,
                   3 * HEAD * 4, 0, 0, NULL);
    snprintf(name, sizeof(name), "attend %s", kv_formats[f].name);
    digest(name, attended, sizeof(float) * 3 * HEAD * (POSITIONS - 119));
    const float sinks[3] = {-1, 0.5f, 3};
    kernels.attend(kv_formats[f].number, (uint8_t *)x, HEAD * 4, POSITIONS - 119, 3, HEAD, 0.125f, kv, pages, 120, attended,
                   3 * HEAD * 4, 60, 2.5f, sinks);
    snprintf(name, sizeof(name), "attend %s, all rules", kv_formats[f].name);
    digest(name, attended, sizeof(float) * 3 * HEAD * (POSITIONS - 119));
    free(kv);
  }

  double *sums = buffer(sizeof(double) * COLS);
  // A row of x as COLS rows of F32 weights that have it in one column, times ones.
  uint8_t *column = buffer((size_t)COLS * 32 * 4);
  float ones[32];
  for (int i = 0; i < 32; i++) ones[i] = 1;
  for (int i = 0; i < COLS; i++) memcpy(column + ((size_t)(i / 8) * 32 * 8 + i % 8) * 4, &x[i], 4);
  if (!kernels.matmul_sums(FORMAT_F32, column, COLS, 32, (uint8_t *)ones, 1, (uint8_t *)sums, COLS * 8, 0x1p50, 1, NULL)) return 1;
  kernels.add_sums(sums, sums, COLS);
  digest("matmul_sums", sums, sizeof(double) * COLS);
  // Rows of a list: into sums, and out of a panel.
  const uint32_t list[2] = {2, 0};
  float twice[2 * 32];
  for (int i = 0; i < 2 * 32; i++) twice[i] = x[i];
  uint8_t *pair = buffer(sizeof(twice)), *listed = buffer(sizeof(double) * COLS * 3);
  kernels.pack_panel(ACTIVATION_F32, (uint8_t *)twice, 32 * 4, 32, 2, pair);
  if (!kernels.matmul_sums(FORMAT_F32, column, COLS, 32, pair, 2, listed, COLS * 8, 0x1p50, 0, list)) return 1;
  digest("matmul_sums of listed rows", listed, sizeof(double) * COLS * 3);
  const uint32_t rows[3] = {1, 5, 9};
  uint8_t *some = buffer(ROWS * COLS / BLOCK * PANEL_BLOCK), *all = buffer(ROWS * COLS / BLOCK * PANEL_BLOCK);
  kernels.pack_panel(ACTIVATION_Q8, q, STRIDE, COLS, ROWS, all);
  kernels.gather_panel(ACTIVATION_Q8, all, COLS, ROWS, rows, 3, some);
  // Eight rows of Q8_0 weights: scales of one, and quants of every size.
  uint8_t *weights = buffer((size_t)COLS / 32 * 272);
  for (int b = 0; b < COLS / 32; b++) {
    for (int i = 0; i < 272; i++) weights[b * 272 + i] = i < 16 ? (i % 2 ? 0x3c : 0) : (uint8_t)(i % 255 - 127);
  }
  kernels.matmul(8, weights, 8, COLS, some, 3, (uint8_t *)y, 32);
  kernels.scale_rows((uint8_t *)y, 32, x, 8, 3);
  digest("gather_panel and scale_rows", y, 3 * 32);
  kernels.apply_norm(y, x + 8, x, 24);
  digest("apply_norm", y, 3 * 32);
  uint8_t *packed = buffer(COLS / 32 * 257);
  const int length = kernels.pack_sums(sums, COLS, packed);
  digest("pack_sums", packed, (size_t)length);
  if (!kernels.unpack_sums(packed, length, COLS, sums)) return 1;
  kernels.from_sums(sums, COLS, y);
  digest("from_sums", y, sizeof(float) * COLS);
  kernels.residual(x, sums, COLS);
  digest("residual", x, sizeof(float) * COLS);
  return 0;
}
