// KV pages of q8: storing a position, and what a page adds to attention. Layout: kernels/formats.ts.
#pragma once
#include "queries.h"
#include "word-sums.h"

// Adds `pairs` pairs of bytes times coefficients: for each query and each of `span` runs of pairs, `apart` bytes from each other.
INLINE void pair_sums(sums8 sum[SIDE][SPAN], const int8_t *bytes, ptrdiff_t apart, const int16_t *factors, int stride,
                      int pairs, const int count, const int span) {
  UNROLL for (int i = 0; i < count; i++) {
    UNROLL for (int s = 0; s < span; s++) sum[i][s] = zero_sums();
  }
  for (int p = 0; p < pairs; p++, bytes += 16, factors += 2) {
    words w[SPAN];
    UNROLL for (int s = 0; s < span; s++) w[s] = widen16(bytes + s * apart);
    UNROLL for (int i = 0; i < count; i++) {
      const coefficients c = pair_of(factors + i * stride);
      UNROLL for (int s = 0; s < span; s++) sum[i][s] = add_products(sum[i][s], w[s], c);
    }
  }
}

enum { KEY_BLOCK = 32 };

typedef struct {
  int8_t *keys, *values;
  uint16_t *key_scales, *value_scales;
} parts_q8;

INLINE int key_blocks(int head_dim) { return (head_dim + KEY_BLOCK - 1) / KEY_BLOCK; }

INLINE parts_q8 parts_of_q8(uint8_t *page, int head_dim) {
  const ptrdiff_t half = (ptrdiff_t)head_dim * KV_PAGE;
  uint16_t *const scales = (uint16_t *)(page + 2 * half);
  return (parts_q8){(int8_t *)page, (int8_t *)page + half, scales, scales + (ptrdiff_t)key_blocks(head_dim) * KV_PAGE};
}

// Queries in 16 bits with their scales, and their weights on the values of a page.
typedef struct {
  int16_t q[QUERIES][MOST_HEAD_DIM];
  float q_scale[QUERIES];
  int16_t weights[QUERIES][KV_PAGE];
  float weight_scale[QUERIES];
} words_q8;

INLINE void scores_q8(queries *b, const parts_q8 *page, const words_q8 *x, int from, int groups, const int count) {
  const int head_dim = b->head_dim;
  for (int g = first_group(b, from) / SPAN * SPAN; g < groups; g += SPAN) {
    fetch_ahead(b);
    v8f score[SIDE][SPAN];
    UNROLL for (int i = 0; i < count; i++) {
      UNROLL for (int s = 0; s < SPAN; s++) score[i][s] = splat8(0.0f);
    }
    const int8_t *keys = page->keys + (ptrdiff_t)g * 8 * head_dim;
    const uint16_t *scales = page->key_scales + 8 * g;
    for (int d = 0; d < head_dim; d += KEY_BLOCK, keys += 8 * KEY_BLOCK, scales += KV_PAGE) {
      sums8 sum[SIDE][SPAN];
      pair_sums(sum, keys, 8 * head_dim, x->q[from] + d, MOST_HEAD_DIM, smaller(KEY_BLOCK, head_dim - d) / 2, count, SPAN);
      UNROLL for (int s = 0; s < SPAN; s++) {
        const v8f scale = load8_f16(scales + 8 * s);
        UNROLL for (int i = 0; i < count; i++) score[i][s] = score[i][s] + float_sums(sum[i][s]) * scale;
      }
    }
    UNROLL for (int i = 0; i < count; i++) {
      UNROLL for (int s = 0; s < SPAN; s++) {
        store8(b->e[from + i] + 8 * (g + s), score[i][s] * splat8(x->q_scale[from + i]));
      }
    }
  }
}

// The exponentials times the values' scales, in 16 bits; zeros where the query sees nothing.
INLINE void weigh_q8(const queries *b, const parts_q8 *page, words_q8 *x, const int query, const int groups) {
  float weights[KV_PAGE] __attribute__((aligned(32)));
  const seen visible = seen_by(b, query);
  for (int g = 0; g < groups; g++) {
    const v8f weight = load8(b->e[query] + 8 * g) * load8_f16(page->value_scales + 8 * g);
    store8(weights + 8 * g, select8(seen8(visible, g), weight, splat8(0.0f)));
  }
  x->weight_scale[query] = quantise_words(weights, 8 * groups, x->weights[query]);
}

INLINE void values_q8(queries *b, const parts_q8 *page, const words_q8 *x, const int from, const int d,
                      const int pairs, const int count, const int span) {
  fetch_ahead(b);
  sums8 sum[SIDE][SPAN];
  pair_sums(sum, page->values + (ptrdiff_t)d * KV_PAGE, 8 * KV_PAGE, x->weights[from], KV_PAGE, pairs, count, span);
  UNROLL for (int i = 0; i < count; i++) {
    const v8f scale = splat8(x->weight_scale[from + i]);
    UNROLL for (int s = 0; s < span; s++) merge8(b, from + i, d + 8 * s, float_sums(sum[i][s]) * scale);
  }
}

NOINLINE void page_q8(queries *b, uint8_t *bytes, words_q8 *x, int from, int count, int groups) {
  const int head_dim = b->head_dim;
  const parts_q8 page = parts_of_q8(bytes, head_dim);
#define SCORES(n) scores_q8(b, &page, x, from, groups, n)
  EACH_COUNT(count, SCORES)
#undef SCORES
  for (int i = from; i < from + count; i++) {
    exponentials(b, i, groups);
    weigh_q8(b, &page, x, i, groups);
  }
  const int pairs = (b->valid[from + count - 1] + 1) / 2;
  int d = 0;
#define VALUES(n) for (; d + 8 * SPAN <= head_dim; d += 8 * SPAN) values_q8(b, &page, x, from, d, pairs, n, SPAN)
  EACH_COUNT(count, VALUES)
#undef VALUES
#define VALUES(n) for (; d < head_dim; d += 8) values_q8(b, &page, x, from, d, pairs, n, 1)
  EACH_COUNT(count, VALUES)
#undef VALUES
}

// Rounds `count` values (a multiple of 8) to bytes; returns the bits of their scale, NaN when not all are finite.
INLINE uint16_t quantise_bytes(const float *x, int count, int8_t *out) {
  const float amax = amax_of(x, count);
  if (!(amax >= SMALLEST_AMAX)) {
    memset(out, 0, (size_t)count);
    return amax != amax ? 0x7e00 : 0;
  }
  const v8f inverse = splat8(127.0f / amax);
  for (int i = 0; i < count; i += 8) {
    store8_bytes(out + i, round8(load8(x + i) * inverse));
  }
  return f16_of(amax / 127.0f);
}

INLINE void store_q8(const float *k, const float *v, int head_dim, uint8_t *page, int slot) {
  const parts_q8 parts = parts_of_q8(page, head_dim);
  int8_t bytes[MOST_HEAD_DIM];
  uint16_t *key_scale = parts.key_scales + slot;
  for (int d = 0; d < head_dim; d += KEY_BLOCK, key_scale += KV_PAGE) {
    *key_scale = quantise_bytes(k + d, smaller(KEY_BLOCK, head_dim - d), bytes + d);
  }
  int8_t *const key = parts.keys + (ptrdiff_t)(slot / 8) * 8 * head_dim + slot % 8 * 2;
  for (int d = 0; d < head_dim; d += 2) memcpy(key + 8 * d, bytes + d, 2);
  parts.value_scales[slot] = quantise_bytes(v, head_dim, bytes);
  int8_t *const value = parts.values + slot / 2 * 16 + slot % 2;
  for (int d = 0; d < head_dim; d++) value[(ptrdiff_t)(d / 8) * 8 * KV_PAGE + d % 8 * 2] = bytes[d];
}
