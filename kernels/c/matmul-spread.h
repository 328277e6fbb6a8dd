// Products of up to 8 rows where the processor has no product of four bytes and few registers. Within a block, each quad of
// weights is unpacked once and multiplied with all rows, whose sums have the registers. For that, activations are spread first: each
// quad once for every lane, so that it is an operand in memory and takes no instruction of its own. That is 352 bytes for a block of
// a row, so columns are gone over in chunks whose spread activations the first-level cache holds, for many row groups at a time. One
// row is bound by memory, which is fastest where it is read in order and has that cache: it is spread as it is multiplied, for two
// row groups abreast.
#pragma once
#include "weights.h"

// A block of a row; `extra`: where its runs begin (run_start), or what its minima take.
typedef struct {
  vec quad[8];
  vf scale;
  vec extra[2];
} spread_block;

// Row groups that a chunk is spread for: their sums wait in the second-level cache for the next chunk. Blocks of a chunk.
enum { SLAB = 64 };
// Bytes of a row group from which one row goes over two of them abreast; shorter ones come faster one after the other.
enum { LONG = 4096 };
#define DEPTH(rows) (64 / (rows) / 8 * 8)

// Where what a chunk comes to soon lies: in this row group's part of the chunk before its block `turn`, then in a later one's.
typedef struct {
  int turn;
  ptrdiff_t before, after;
} soon;

// `bytes` of each `group` bytes are a row group's part of the chunk, in blocks of `block` bytes; `abreast` row groups are gone over
// at a time.
INLINE soon soon_of(ptrdiff_t bytes, ptrdiff_t group, int block, int abreast) {
  if (bytes == group && abreast == 1) return (soon){0, 0, AHEAD};
  if (bytes <= AHEAD) return (soon){0, 0, 2 * abreast * group};
  return (soon){(int)((bytes - AHEAD) / block), AHEAD, AHEAD + abreast * group - bytes};
}

INLINE void fetch_soon(const soon *s, groups p, int block, const int bytes) {
  prefetch(p + (block < s->turn ? s->before : s->after), bytes);
}

INLINE void spread(spread_block *to, const q8_block *x, const int largest, const int below, const int scaled, const int min) {
  UNROLL for (int j = 0; j < 8; j++) to->quad[j] = vec_quad(x->q, j);
  to->scale = splatf(x->scale);
  const int run = run_of(largest, below, scaled);
  UNROLL for (int from = 0; from < 8 && below; from += run) to->extra[from / 4] = run_start(x, below, run, from);
  if (min == ONE_MIN) to->extra[0] = (vec)splatf(x->weighted);
  if (min == TWO_MINS) to->extra[0] = pairs_from(x->sums);
}

// Holds additions to their order: GCC would first make all products and then have no registers for them.
#define IN_ORDER(sum) __asm__("" : "+x"(sum))

// Of the products of several row groups with one row, or of one with several rows, the i-th one's.
#define GROUP_OF(i) (abreast > 1 ? (i) : 0)
#define ROW_OF(i) (abreast > 1 ? 0 : (i))

// The integer parts of a block's products: of one row group with `rows` rows, or of `abreast` row groups, which lie `group` bytes
// apart, with one.
#define DEFINE_DOT_ROWS(name, read, from, each, largest, below, scaled, min)                                           \
  INLINE void name##_dot_rows(groups p, ptrdiff_t group, const int abreast, const spread_block *x, const around *u,    \
                              const int rows, vi *total) {                                                             \
    const int run = run_of(largest, below, scaled);                                                                    \
    const vi ones = splati(0x10001);                                                                                   \
    UNROLL for (int start = 0; start < 8 && largest != SIGNED; start += run) {                                         \
      pairs sum[ROW_BATCH];                                                                                            \
      UNROLL for (int j = start; j < start + run; j++) {                                                               \
        UNROLL for (int g = 0; g < abreast; g++) {                                                                     \
          const vec w = read(p + g * group, j);                                                                        \
          UNROLL for (int r = 0; r < rows; r++) {                                                                      \
            pairs *const to = &sum[g + r];                                                                             \
            const pairs product = pairs_dot(w, x[r].quad[j]);                                                          \
            *to = j > start ? pairs_add(*to, product) : below ? pairs_add(x[r].extra[start / 4], product) : product;   \
            IN_ORDER(*to);                                                                                             \
          }                                                                                                            \
        }                                                                                                              \
      }                                                                                                                \
      UNROLL for (int i = 0; i < abreast * rows; i++) {                                                                \
        const scales *const s = &u[GROUP_OF(i)].s;                                                                     \
        const vi part = pairs_scale(sum[i], scaled == 0 ? ones : start < 4 ? s->first : s->second);                    \
        total[i] = start == 0 ? part : total[i] + part;                                                                \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int j = 0; j < 8 && largest == SIGNED; j++) {                                                          \
      UNROLL for (int g = 0; g < abreast; g++) {                                                                       \
        const vec w = read(p + g * group, j);                                                                          \
        UNROLL for (int r = 0; r < rows; r++) {                                                                        \
          const vi part = pairs_scale(pairs_dot_signed_quad(w, x[r].quad[j]), ones);                                   \
          total[g + r] = j == 0 ? part : total[g + r] + part;                                                          \
          IN_ORDER(total[g + r]);                                                                                      \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int i = 0; i < abreast * rows && largest == SIGNED && scaled; i++) {                                   \
      total[i] = total[i] * u[GROUP_OF(i)].s.first;                                                                    \
    }                                                                                                                  \
  }

BLOCK_FORMATS(DEFINE_DOT_ROWS)
SUPER_FORMATS(DEFINE_DOT_ROWS)

// Row groups over the blocks of a chunk, added to `sums`; `x` are the spread activations, or of one row as they are.
#define SPREAD_AT(name, block, largest, below, scaled, min)                                                            \
  spread_block here;                                                                                                   \
  if (rows == 1) spread(&here, (const q8_block *)x + (block), largest, below, scaled, min);                            \
  const spread_block *const name = rows == 1 ? &here : (const spread_block *)x + (ptrdiff_t)(block) * rows;

#define DEFINE_BLOCK_CHUNK(name, read, from, each, largest, below, scaled, min)                                        \
  INLINE void name##_chunk(groups p, ptrdiff_t group, const int abreast, const soon *next, int blocks, const void *x,  \
                           const int rows, vf (*sums)[ROW_BATCH]) {                                                    \
    vf acc[ROW_BATCH];                                                                                                 \
    UNROLL for (int i = 0; i < abreast * rows; i++) acc[i] = sums[GROUP_OF(i)][ROW_OF(i)];                             \
    for (int b = 0; b < blocks; b++, p += name##_bytes) {                                                              \
      vi total[ROW_BATCH];                                                                                             \
      around u[2];                                                                                                     \
      SPREAD_AT(y, b, largest, below, scaled, min)                                                                     \
      UNROLL for (int g = 0; g < abreast; g++) {                                                                       \
        fetch_soon(next, p + g * group, b, name##_bytes);                                                              \
        u[g] = name##_head(p + g * group, 0);                                                                          \
      }                                                                                                                \
      name##_dot_rows(p + from, group, abreast, y, u, rows, total);                                                    \
      UNROLL for (int i = 0; i < abreast * rows; i++) {                                                                \
        const int g = GROUP_OF(i), r = ROW_OF(i);                                                                      \
        vf sum = acc[i] + to_float(total[i]) * (u[g].d * y[r].scale);                                                  \
        if (min == ONE_MIN) sum = sum + u[g].m * (vf)y[r].extra[0];                                                    \
        acc[i] = sum;                                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int i = 0; i < abreast * rows; i++) sums[GROUP_OF(i)][ROW_OF(i)] = acc[i];                             \
  }

#define DEFINE_SUPER_CHUNK(name, read, from, each, largest, below, scaled, min)                                        \
  INLINE void name##_chunk(groups p, ptrdiff_t group, const int abreast, const soon *next, int blocks, const void *x,  \
                           const int rows, vf (*sums)[ROW_BATCH]) {                                                    \
    for (int b = 0; b < blocks; b += 8, p += name##_bytes) {                                                           \
      vf t[ROW_BATCH], m[ROW_BATCH];                                                                                   \
      UNROLL for (int i = 0; i < abreast * rows; i++) t[i] = m[i] = splatf(0.0f);                                      \
      for (int k = 0; k < 8; k++) {                                                                                    \
        vi total[ROW_BATCH];                                                                                           \
        around u[2];                                                                                                   \
        SPREAD_AT(y, b + k, largest, below, scaled, min)                                                               \
        UNROLL for (int g = 0; g < abreast; g++) {                                                                     \
          fetch_soon(next, p + g * group + k * (name##_bytes / 8), b / 8, name##_bytes / 8);                           \
          name##_scales(p + g * group, 0, k, &u[g]);                                                                   \
        }                                                                                                              \
        name##_dot_rows(p + from + each * k, group, abreast, y, u, rows, total);                                       \
        UNROLL for (int i = 0; i < abreast * rows; i++) {                                                              \
          const int g = GROUP_OF(i), r = ROW_OF(i);                                                                    \
          t[i] = t[i] + to_float(total[i]) * y[r].scale;                                                               \
          if (min == ONE_MIN) m[i] = m[i] + to_float(u[g].mins.first) * (vf)y[r].extra[0];                             \
          if (min == TWO_MINS) m[i] = m[i] + to_float(pairs_scale(y[r].extra[0], u[g].mins.mixed)) * y[r].scale;       \
        }                                                                                                              \
      }                                                                                                                \
      UNROLL for (int i = 0; i < abreast * rows; i++) {                                                                \
        const around u = name##_head(p + GROUP_OF(i) * group, 0);                                                      \
        vf *const to = &sums[GROUP_OF(i)][ROW_OF(i)];                                                                  \
        *to = *to + (min != NO_MIN ? u.d * t[i] - u.m * m[i] : u.d * t[i]);                                            \
      }                                                                                                                \
    }                                                                                                                  \
  }

BLOCK_FORMATS(DEFINE_BLOCK_CHUNK)
SUPER_FORMATS(DEFINE_SUPER_CHUNK)

// `count` row groups, at most a slab, with `rows` rows, all of a batch.
#define DEFINE_SPREAD_ROWS(name, read, from, each, largest, below, scaled, min)                                        \
  INLINE void name##_rows(const uint8_t *w, int count, int blocks, const q8_block *x, const int rows,                  \
                          destination *to, uint8_t *at) {                                                              \
    spread_block spreads[DEPTH(1)];                                                                                    \
    vf sums[SLAB][ROW_BATCH];                                                                                          \
    const int depth = rows == 1 ? blocks : DEPTH(rows), blocks_each = (name##_bytes - from) / each;                    \
    const ptrdiff_t group = (ptrdiff_t)(blocks / blocks_each) * name##_bytes;                                          \
    const int apart = (to->to_sums ? 8 : 4) * ROW_GROUP;                                                               \
    for (int k = 0; k < blocks; k += depth) {                                                                          \
      const int n = blocks - k < depth ? blocks - k : depth, last = k + n == blocks;                                   \
      const ptrdiff_t bytes = (ptrdiff_t)(n / blocks_each) * name##_bytes;                                             \
      const uint8_t *p = w + (ptrdiff_t)(k / blocks_each) * name##_bytes;                                              \
      for (int i = 0; i < n * rows && rows > 1; i++) {                                                                 \
        spread(&spreads[i], x + (ptrdiff_t)k * rows + i, largest, below, scaled, min);                                 \
      }                                                                                                                \
      for (int g = 0; g < count && k == 0; g++) {                                                                      \
        UNROLL for (int r = 0; r < rows; r++) sums[g][r] = splatf(0.0f);                                               \
      }                                                                                                                \
      int g = 0;                                                                                                       \
      if (rows == 1 && bytes >= LONG) {                                                                                \
        const soon next = soon_of(bytes, group, name##_bytes, 2);                                                      \
        for (; g + 2 <= count; g += 2, p += 2 * group) {                                                               \
          name##_chunk(p, group, 2, &next, n, x, 1, sums + g);                                                         \
          put_rows(sums[g], 1, to, at + g * apart);                                                                    \
          put_rows(sums[g + 1], 1, to, at + (g + 1) * apart);                                                          \
        }                                                                                                              \
      }                                                                                                                \
      const soon next = soon_of(bytes, group, name##_bytes, 1);                                                        \
      for (; g < count; g++, p += group) {                                                                             \
        name##_chunk(p, group, 1, &next, n, rows == 1 ? (const void *)x : spreads, rows, sums + g);                    \
        if (last) put_rows(sums[g], rows, to, at + g * apart);                                                         \
      }                                                                                                                \
    }                                                                                                                  \
  }

BLOCK_FORMATS(DEFINE_SPREAD_ROWS)
SUPER_FORMATS(DEFINE_SPREAD_ROWS)

#define ROWS_CASE(name, rows) case rows: name##_rows(p, count, blocks, x, rows, to, at); break;

#define DEFINE_MATMUL_Q8(name, cols_of_block)                                                                          \
  NOINLINE void matmul_##name(const uint8_t *w, int out_rows, int cols, const q8_block *panel, int rows,               \
                              destination *to) {                                                                       \
    const int blocks = cols / BLOCK;                                                                                   \
    const ptrdiff_t group = (ptrdiff_t)(cols / cols_of_block) * name##_bytes;                                          \
    for (int g = 0; g < out_rows / ROW_GROUP; g += SLAB) {                                                             \
      const int count = out_rows / ROW_GROUP - g < SLAB ? out_rows / ROW_GROUP - g : SLAB;                             \
      const uint8_t *const p = w + g * group;                                                                          \
      for (int r = 0; r < rows; r += ROW_BATCH) {                                                                      \
        const q8_block *const x = panel + (ptrdiff_t)r * blocks;                                                       \
        uint8_t *const at = place_of(to, r, g * ROW_GROUP);                                                            \
        switch (batch_at(r, rows)) { ROWS_CASES(name) }                                                                \
      }                                                                                                                \
    }                                                                                                                  \
  }
