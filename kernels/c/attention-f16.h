// KV pages of f16: storing a position, and what a page adds to attention. Keys [head_dim][KV_PAGE], values [KV_PAGE][head_dim].
#pragma once
#include "queries.h"

INLINE void store_f16(const float *k, const float *v, int head_dim, uint16_t *page, int slot) {
  uint16_t *const values = page + (ptrdiff_t)head_dim * KV_PAGE + (ptrdiff_t)slot * head_dim;
  for (int d = 0; d < head_dim; d++) {
    page[d * KV_PAGE + slot] = f16_of(k[d]);
    values[d] = f16_of(v[d]);
  }
}

typedef float scaled_queries[QUERIES][MOST_HEAD_DIM];

INLINE void scores_f16(queries *b, const uint16_t *keys, scaled_queries scaled, int from, int groups, const int count) {
  const int head_dim = b->head_dim;
  for (int g = first_group(b, from) / SPAN * SPAN; g < groups; g += SPAN) {
    fetch_ahead(b);
    v8f sum[SIDE][SPAN];
    UNROLL for (int i = 0; i < count; i++) {
      UNROLL for (int s = 0; s < SPAN; s++) sum[i][s] = splat8(0.0f);
    }
    const uint16_t *key = keys + 8 * g;
    for (int d = 0; d < head_dim; d++, key += KV_PAGE) {
      v8f k[SPAN];
      UNROLL for (int s = 0; s < SPAN; s++) k[s] = load8_f16(key + 8 * s);
      UNROLL for (int i = 0; i < count; i++) {
        const v8f q = splat8(scaled[from + i][d]);
        UNROLL for (int s = 0; s < SPAN; s++) sum[i][s] = sum[i][s] + q * k[s];
      }
    }
    UNROLL for (int i = 0; i < count; i++) {
      UNROLL for (int s = 0; s < SPAN; s++) store8(b->e[from + i] + 8 * (g + s), sum[i][s]);
    }
  }
}

// Dimensions d .. d + 8·span of `count` queries from `from` on, which see the page from the same position on. What a query does not
// see is not multiplied by 0, since it may be infinite.
INLINE void values_f16(queries *b, const uint16_t *values, const int from, const int d, const int count,
                       const int span) {
  const int head_dim = b->head_dim;
  fetch_ahead(b);
  v8f sum[SIDE][SPAN];
  UNROLL for (int i = 0; i < count; i++) {
    UNROLL for (int s = 0; s < span; s++) sum[i][s] = splat8(0.0f);
  }
  const int hidden = b->hidden[from], common = b->valid[from];
  const uint16_t *value = values + (ptrdiff_t)hidden * head_dim + d;
  for (int p = hidden; p < common; p++, value += head_dim) {
    v8f v[SPAN];
    UNROLL for (int s = 0; s < span; s++) v[s] = load8_f16(value + 8 * s);
    UNROLL for (int i = 0; i < count; i++) {
      const v8f e = splat8(b->e[from + i][p]);
      UNROLL for (int s = 0; s < span; s++) sum[i][s] = sum[i][s] + e * v[s];
    }
  }
  UNROLL for (int i = 0; i < count; i++) {
    for (int p = common; p < b->valid[from + i]; p++) {
      const v8f e = splat8(b->e[from + i][p]);
      UNROLL for (int s = 0; s < span; s++) {
        sum[i][s] = sum[i][s] + e * load8_f16(values + (ptrdiff_t)p * head_dim + d + 8 * s);
      }
    }
    UNROLL for (int s = 0; s < span; s++) merge8(b, from + i, d + 8 * s, sum[i][s]);
  }
}

NOINLINE void page_f16(queries *b, const uint16_t *page, scaled_queries scaled, int from, int count, int groups) {
  const int head_dim = b->head_dim;
  const uint16_t *const values = page + (ptrdiff_t)head_dim * KV_PAGE;
#define SCORES(n) scores_f16(b, page, scaled, from, groups, n)
  EACH_COUNT(count, SCORES)
#undef SCORES
  for (int i = from; i < from + count; i++) exponentials(b, i, groups);
  int d = 0;
#define VALUES(n) for (; d + 8 * SPAN <= head_dim; d += 8 * SPAN) values_f16(b, values, from, d, n, SPAN)
  EACH_COUNT(count, VALUES)
#undef VALUES
#define VALUES(n) for (; d < head_dim; d += 8) values_f16(b, values, from, d, n, 1)
  EACH_COUNT(count, VALUES)
#undef VALUES
}
