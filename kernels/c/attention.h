// Attention over the paged cache of one key/value head. The page layouts are in kernels/formats.ts, the numeric contract is that
// of kvStore and attend in kernels/kernels.ts.
#pragma once
#include "attention-f16.h"
#include "attention-q8.h"

// Numbers of GGUF types, as for weights.
enum { KV_F16 = 1, KV_Q8 = 8 };

INLINE ptrdiff_t page_bytes(int format, int head_dim) {
  if (format == KV_F16) return (ptrdiff_t)KV_PAGE * 4 * head_dim;
  return (ptrdiff_t)KV_PAGE * 2 * (head_dim + key_blocks(head_dim) + 1);
}

// The first of `positions` positions that a row sees, of which it sees the last `window`, or all where that is 0.
INLINE int oldest_of(int positions, int window) { return window > 0 ? greater(0, positions - window) : 0; }

// How many queries from `from` on, before `end`, pass over a page together. What some see of f16 before others do could not be
// added in its order together.
INLINE int side_of(const int format, const queries *b, int from, int end) {
  const int most = smaller(SIDE, end - from);
  int side = 1;
  while (side < most && (format != KV_F16 || b->hidden[from + side] == b->hidden[from])) side++;
  return side;
}

// Up to QUERIES queries q[i]; query i sees the last `window` of positions[i] positions, at least 1 and in ascending order.
// @param after the page that is needed next, or NULL
INLINE void attend_batch(const int format, queries *b, const float *const *q, const int *positions, int count, float scale,
                         int window, uint8_t *kv, const uint32_t *pages, const uint8_t *after) {
  const int head_dim = b->head_dim;
  union { scaled_queries f16; words_q8 q8; } x;
  for (int i = 0; i < count; i++) {
    if (format == KV_F16) {
      for (int d = 0; d < head_dim; d += 8) store8(x.f16[i] + d, load8(q[i] + d) * splat8(scale));
    } else {
      x.q8.q_scale[i] = quantise_words(q[i], head_dim, x.q8.q[i]) * scale;
    }
  }
  // Queries that see something of a page: from `start` on, before `end`.
  int start = 0, end = 0, page = oldest_of(positions[0], window) / KV_PAGE;
  for (int first = page * KV_PAGE; first < positions[count - 1]; first += KV_PAGE, page++) {
    while (positions[start] <= first) start++;
    while (end < count && oldest_of(positions[end], window) < first + KV_PAGE) end++;
    for (int i = start; i < end; i++) {
      const int oldest = oldest_of(positions[i], window);
      b->first[i] = oldest >= first;
      b->hidden[i] = greater(0, oldest - first);
      b->valid[i] = smaller(KV_PAGE, positions[i] - first);
    }
    uint8_t *const at = kv + (ptrdiff_t)pages[page] * page_bytes(format, head_dim);
    const int seen = smaller(KV_PAGE, positions[count - 1] - first), is_last = first + KV_PAGE >= positions[count - 1];
    const ptrdiff_t bytes = page_bytes(format, head_dim), runs = (seen + head_dim) / (8 * SPAN);
    b->ahead = (const char *)(is_last ? after : kv + (ptrdiff_t)pages[page + 1] * bytes);
    b->ahead_end = b->ahead == NULL ? NULL : b->ahead + bytes;
    b->ahead_step = bytes / (runs + 1);
    for (int from = start, side; from < end; from += side) {
      side = side_of(format, b, from, end);
      const int groups = (b->valid[from + side - 1] + 7) / 8;
      if (format == KV_F16) page_f16(b, (const uint16_t *)at, x.f16, from, side, groups);
      else page_q8(b, at, &x.q8, from, side, groups);
    }
  }
  for (int i = 0; i < count; i++) finish_query(b, i);
}

NOINLINE void attend_f16(queries *b, const float *const *q, const int *positions, int count, float scale, int window,
                         uint8_t *kv, const uint32_t *pages, const uint8_t *after) {
  attend_batch(KV_F16, b, q, positions, count, scale, window, kv, pages, after);
}

NOINLINE void attend_q8(queries *b, const float *const *q, const int *positions, int count, float scale, int window,
                        uint8_t *kv, const uint32_t *pages, const uint8_t *after) {
  attend_batch(KV_Q8, b, q, positions, count, scale, window, kv, pages, after);
}
