// Whole tiles in one call, as composeTiles (kernels/compose-tiles.ts) puts them together: between two calls memory idles.
#pragma once
#include "head-norm.h"

INLINE int activation_of(int format) {
  return format == FORMAT_F32 || format == FORMAT_F16 || format == FORMAT_BF16 ? ACTIVATION_F32 : ACTIVATION_Q8;
}

INLINE void from_panel(const matrix *m, const uint8_t *panel, const tile_buffers *b, int rows, uint8_t *out) {
  matmul(m->format, m->weights, m->rows, m->cols, panel, rows, out, b->inner_stride);
}

INLINE void from_input(const matrix *m, const tile_buffers *b, int rows, uint8_t *out) {
  from_panel(m, b->panels[activation_of(m->format)], b, rows, out);
}

// @param list see matmul_sums
INLINE int to_sums(const matrix *m, const tile_buffers *b, const uint8_t *inner, int first, int rows, double limit, int fresh,
                   const uint32_t *list) {
  if (activation_of(m->format) == ACTIVATION_F32) {
    pack_panel(ACTIVATION_F32, inner, b->inner_stride, m->cols, rows, b->inner_panel);
  } else if (!quantize_panel(inner, b->inner_stride, m->cols, rows, b->inner_panel)) return 0;
  return matmul_sums(m->format, m->weights, m->rows, m->cols, b->inner_panel, rows,
                     b->sums + (ptrdiff_t)first * b->sum_stride, b->sum_stride, limit, fresh, list);
}

#include "feed-forward.h"

INLINE const float *factor_of(const float *factors, int row) { return factors == NULL ? NULL : factors + row; }

static void key_value(const key_value_tile *t, int first, int rows) {
  const tile_buffers *const b = &t->buffers;
  const step_rows *const step = &t->step;
  from_input(&t->k, b, rows, b->inner[0]);
  from_input(&t->v, b, rows, b->inner[1]);
  for (int i = 0; i < rows; i++) {
    const int row = first + i;
    const uint32_t position = step->positions[row], page = step->pages[step->tables[row] + position / KV_PAGE];
    float *const k = (float *)(b->inner[0] + (ptrdiff_t)i * b->inner_stride);
    float *const v = (float *)(b->inner[1] + (ptrdiff_t)i * b->inner_stride);
    ready_heads(k, 1, t->head_dim, t->k_bias, t->k_norm, factor_of(t->k_factors, row), t->eps);
    ready_heads(v, 1, t->head_dim, t->v_bias, NULL, NULL, t->eps);
    rope(k, 1, t->head_dim, step->rope + (ptrdiff_t)row * t->head_dim);
    kv_store(t->kv_format, k, v, t->head_dim, t->cache + (ptrdiff_t)page * page_bytes(t->kv_format, t->head_dim),
             (int)(position % KV_PAGE));
  }
}

static void queries_of(const attention_tile *t, int first, int rows) {
  const tile_buffers *const b = &t->buffers;
  from_input(&t->q, b, rows, b->inner[0]);
  for (int i = 0; i < rows; i++) {
    float *const q = (float *)(b->inner[0] + (ptrdiff_t)i * b->inner_stride);
    const int heads = t->group * t->cache_count;
    ready_heads(q, heads, t->head_dim, t->q_bias, t->q_norm, factor_of(t->q_factors, first + i), t->eps);
    rope(q, heads, t->head_dim, t->step.rope + (ptrdiff_t)(first + i) * t->head_dim);
  }
}

// How many rows from `row` on, before `limit`, are consecutive positions of one sequence: they attend together.
INLINE int run_from(const step_rows *step, int row, int limit) {
  int end = row + 1;
  while (end < limit && step->tables[end] == step->tables[row] &&
         step->positions[end] - step->positions[row] == (uint32_t)(end - row)) {
    end++;
  }
  return end - row;
}

// The first page that a row sees something of.
INLINE const uint8_t *page_of(const attention_tile *t, int cache, int row) {
  const int page = oldest_of((int)t->step.positions[row] + 1, t->window) / KV_PAGE;
  return t->caches[cache] + (ptrdiff_t)t->step.pages[t->step.tables[row] + page] * page_bytes(t->kv_format, t->head_dim);
}

static int attention(const attention_tile *t, int first, int rows, int fresh) {
  const tile_buffers *const b = &t->buffers;
  const step_rows *const step = &t->step;
  const ptrdiff_t stride = b->inner_stride, width = (ptrdiff_t)t->group * t->cache_count * t->head_dim * 4;
  for (int i = 0; i < rows; i++) memset(b->inner[1] + i * stride + width, 0, (size_t)(t->q.rows * 4 - width));
  for (int i = 0; i < t->cache_count; i++) {
    for (int row = first, run; row < first + rows; row += run) {
      run = run_from(step, row, first + rows);
      const ptrdiff_t at = (row - first) * stride + (ptrdiff_t)i * t->group * t->head_dim * 4;
      const uint8_t *after = NULL;
      if (row + run < first + rows) after = page_of(t, i, row + run);
      else if (i + 1 < t->cache_count) after = page_of(t, i + 1, first);
      attend_before(t->kv_format, b->inner[0] + at, b->inner_stride, run, t->group, t->head_dim, t->scale, t->caches[i],
                    step->pages + step->tables[row], (int)step->positions[row] + 1, b->inner[1] + at, b->inner_stride, t->window,
                    t->soft_cap, t->sinks == NULL ? NULL : t->sinks + i * t->group, after);
    }
  }
  return to_sums(&t->out, b, b->inner[1], first, rows, t->limit, fresh, NULL);
}
