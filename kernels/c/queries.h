// Queries of attention on their way over the pages of a key/value head. A query is one head of one row. A batch of them passes
// over a page together, so that it comes from memory once, and SIDE of them share each load and conversion; the sums of each
// keep their own order.
#pragma once
#include "kernels.h"
#include "simd.h"
#include "soft-cap.h"

enum { QUERIES = 8, SIDE = 4, MOST_HEAD_DIM = 512 };

// Vectors of eight sums that a query has in registers at once.
#if defined(__AVX512VL__)
enum { SPAN = 4 };
#elif defined(__AVX2__) || (defined(__ARM_NEON) && defined(__aarch64__))
enum { SPAN = 2 };
#else
enum { SPAN = 1 };
#endif

// Calls an inlined function with the number of queries, 1..SIDE, as a constant.
#define EACH_COUNT(count, call) \
  switch (count) {              \
    case 1: call(1); break;     \
    case 2: call(2); break;     \
    case 3: call(3); break;     \
    default: call(4); break;    \
  }

// A batch of queries on their way over the pages. Of later queries both the first and the last position that they see are those of
// earlier ones, or later.
typedef struct {
  int head_dim;
  // What bounds scores; 0 where nothing does.
  float soft_cap;
  // A score whose value is zero; NULL where there is none.
  const float *sink[QUERIES];
  // Of this page, for each query: whether it is its first, the positions that it sees (before `valid`, from `hidden` on), its
  // scores and then their exponentials.
  int first[QUERIES];
  int hidden[QUERIES], valid[QUERIES];
  float e[QUERIES][KV_PAGE] __attribute__((aligned(32)));
  // Merging: the greatest score and the sum so far, and the factors of what was and what comes.
  float greatest[QUERIES], total[QUERIES], old[QUERIES], new[QUERIES];
  float *out[QUERIES];
  // Bytes of the next page that are still to be asked of memory, and how many at a time.
  const char *ahead, *ahead_end;
  ptrdiff_t ahead_step;
} queries;

// Called once for each run of 8·SPAN positions and dimensions of a page: pages lie anywhere, so the processor cannot know which
// is next. WebAssembly cannot ask.
INLINE void fetch_ahead(queries *b) {
#if defined(__wasm__)
  (void)b;
#else
  for (ptrdiff_t i = 0; i < b->ahead_step && b->ahead < b->ahead_end; i += 64, b->ahead += 64) {
    __builtin_prefetch(b->ahead, 0, 2);
  }
#endif
}

INLINE float exp1(float x) { return exp8(splat8(x))[0]; }

// The positions of a page that a query sees, as one comparison: both sides are off by 2^31, so that what is before them is above.
typedef struct {
  v8u first;
  v8i count;
} seen;

INLINE seen seen_by(const queries *b, int query) {
  const v8u lane = {0, 1, 2, 3, 4, 5, 6, 7};
  const uint32_t hidden = (uint32_t)b->hidden[query], valid = (uint32_t)b->valid[query];
  return (seen){lane + (0x80000000u - hidden), splat8i((int32_t)(0x80000000u + (valid - hidden)))};
}

INLINE v8i seen8(seen s, int group) { return (v8i)(s.first + 8 * (uint32_t)group) < s.count; }

// The first group of eight of which a query sees something.
INLINE int first_group(const queries *b, int query) { return b->hidden[query] / 8; }

// The exponentials of one query's scores from its first group on, 0 where it sees no position, and how the page merges with those
// before.
INLINE void exponentials(queries *b, const int query, const int groups) {
  float *const e = b->e[query];
  const int from = first_group(b, query);
  const seen visible = seen_by(b, query);
  if (b->soft_cap > 0) cap_scores(e + 8 * from, groups - from, b->soft_cap);
  v8f largest = splat8(-__builtin_inff());
  for (int g = from; g < groups; g++) {
    const v8f score = load8(e + 8 * g);
    largest = select8(seen8(visible, g) & (v8i)(score > largest), score, largest);
  }
  float m = largest[0];
  for (int i = 1; i < 8; i++) m = largest[i] > m ? largest[i] : m;
  v8f sum = splat8(0.0f);
  for (int g = from; g < groups; g++) {
    const v8f value = select8(seen8(visible, g), exp8(load8(e + 8 * g) - splat8(m)), splat8(0.0f));
    store8(e + 8 * g, value);
    sum = sum + value;
  }
  const float l = tree8(sum);
  if (b->first[query]) {
    b->greatest[query] = m;
    b->total[query] = l;
    return;
  }
  const float larger = m > b->greatest[query] ? m : b->greatest[query];
  b->old[query] = exp1(b->greatest[query] - larger);
  b->new[query] = exp1(m - larger);
  b->total[query] = b->total[query] * b->old[query] + l * b->new[query];
  b->greatest[query] = larger;
}

INLINE void merge8(const queries *b, const int query, const int d, v8f value) {
  float *const out = b->out[query] + d;
  if (!b->first[query]) value = load8(out) * splat8(b->old[query]) + value * splat8(b->new[query]);
  store8(out, value);
}

INLINE int smaller(int a, int b) { return a < b ? a : b; }
INLINE int greater(int a, int b) { return a > b ? a : b; }

// out = O / L, after a sink has been merged where there is one.
INLINE void finish_query(queries *b, const int query) {
  v8f inverse = splat8(1.0f / b->total[query]), old = splat8(1.0f);
  if (b->sink[query] != NULL) {
    const float sink = *b->sink[query], m = b->greatest[query], larger = sink > m ? sink : m, a = exp1(m - larger);
    inverse = splat8(1.0f / (b->total[query] * a + exp1(sink - larger)));
    old = splat8(a);
  }
  float *const out = b->out[query];
  for (int d = 0; d < b->head_dim; d += 8) store8(out + d, (load8(out + d) * old) * inverse);
}
