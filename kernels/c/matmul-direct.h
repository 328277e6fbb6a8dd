// Products of up to ROW_BATCH rows where activations are spread by the instruction that multiplies them, or in registers: a block
// of weights is unpacked once, into registers, and each row goes over it.
#pragma once
#include "weights.h"

#if defined(DOT32)

// −below · Σ a in every lane: what unsigned weights are above those that they stand for.
INLINE vi offset_dot(const q8_block *x, const int below) {
  const vi minus8 = splati(x->minus8);
  switch (below) {
    case 0: return splati(0);
    case 8: return minus8;
    case 12: return minus8 + (minus8 >> 1);
    case 16: return minus8 << 1;
    default: return minus8 << 4;
  }
}

// The same over half a block.
INLINE vi half_offset(const q8_block *x, const int below, const int half) {
  return below == 0 ? splati(0) : splati(x->minus32[half]) >> (below == 32 ? 0 : 3);
}

INLINE vec ready(vec w, const int largest) { return largest == SIGNED ? vec_signed(w) : w; }

// The integer part of a block's product, of quads that went through `ready`.
INLINE vi dot(const vec *quads, const q8_block *x, const scales *s, const int largest, const int below, const int scaled) {
  if (scaled == 2) {
    return quads_dot(half_offset(x, below, 0), quads, x->q, 4) * s->first +
           quads_dot(half_offset(x, below, 1), quads + 4, x->q + 16, 4) * s->second;
  }
  const vi sum = largest == SIGNED ? signed_dot(offset_dot(x, SIGNED_BIAS), quads, x->q)
                                   : quads_dot(offset_dot(x, below), quads, x->q, 8);
  return scaled ? sum * s->first : sum;
}

#else

INLINE vec ready(vec w, const int largest) {
  (void)largest;
  return w;
}

INLINE vi dot(const vec *quads, const q8_block *x, const scales *s, const int largest, const int below, const int scaled) {
  const int8_t *const a = x->q;
  const vi ones = splati(0x10001);
  if (largest == SIGNED) {
    vi even = signed_start(a), odd = splati(0);
    UNROLL for (int j = 0; j < 8; j += 2) {
      even += pairs_scale(pairs_dot_signed(quads[j], a, j), ones);
      odd += pairs_scale(pairs_dot_signed(quads[j + 1], a, j + 1), ones);
    }
    return scaled ? (even + odd) * s->first : even + odd;
  }
  const int run = run_of(largest, below, scaled);
  vi total = splati(0);
  UNROLL for (int from = 0; from < 8; from += run) {
    pairs sum = pairs_dot(quads[from], vec_quad(a, from));
    UNROLL for (int j = from + 1; j < from + run; j++) sum = pairs_add(sum, pairs_dot(quads[j], vec_quad(a, j)));
    if (below) sum = pairs_add(sum, run_start(x, below, run, from));
    const vi part = pairs_scale(sum, scaled == 0 ? ones : from < 4 ? s->first : s->second);
    total = from == 0 ? part : total + part;
  }
  return total;
}

#endif

// Continues with what `at` holds, or begins.
INLINE void begin_rows(vf *acc, const int rows, int first, const destination *to, const uint8_t *at) {
  UNROLL for (int r = 0; r < rows; r++) {
    if (first) acc[r] = splatf(0.0f);
    else memcpy(&acc[r], at + r * to->stride, sizeof(vf));
  }
}

// LANES outputs of a batch over `blocks` blocks, added to what was put before unless these are the first.
#define DEFINE_BLOCK_ROWS(name, read, from, each, largest, below, scaled, min)                                         \
  INLINE void name##_rows(groups p, const int half, int blocks, const q8_block *x, const int rows, int first,          \
                          destination *to, uint8_t *at) {                                                              \
    vf acc[ROW_BATCH];                                                                                                 \
    begin_rows(acc, rows, first, to, at);                                                                              \
    for (int b = 0; b < blocks; b++, p = part(p, name##_bytes), x += rows) {                                           \
      vec w[8];                                                                                                        \
      prefetch(part(p, AHEAD), name##_bytes);                                                                          \
      const around u = name##_head(p, half);                                                                           \
      UNROLL for (int j = 0; j < 8; j++) w[j] = ready(read(part(p, from + IN_WORDS(half)), j), largest);               \
      UNROLL for (int r = 0; r < rows; r++) {                                                                          \
        acc[r] = acc[r] + to_float(dot(w, x + r, &u.s, largest, below, scaled)) * (u.d * splatf(x[r].scale));          \
        if (min == ONE_MIN) acc[r] = acc[r] + u.m * splatf(x[r].weighted);                                             \
      }                                                                                                                \
    }                                                                                                                  \
    put_rows(acc, rows, to, at);                                                                                       \
  }

#define DEFINE_SUPER_ROWS(name, read, from, each, largest, below, scaled, min)                                         \
  INLINE void name##_rows(groups p, const int half, int blocks, const q8_block *x, const int rows, int first,          \
                          destination *to, uint8_t *at) {                                                              \
    vf acc[ROW_BATCH], t[ROW_BATCH], m[ROW_BATCH];                                                                     \
    begin_rows(acc, rows, first, to, at);                                                                              \
    for (int b = 0; b < blocks; b += 8, p = part(p, name##_bytes)) {                                                   \
      UNROLL for (int r = 0; r < rows; r++) t[r] = m[r] = splatf(0.0f);                                                \
      for (int i = 0; i < 8; i++, x += rows) {                                                                         \
        vec w[8];                                                                                                      \
        around u;                                                                                                      \
        prefetch(part(p, AHEAD + i * (name##_bytes / 8)), name##_bytes / 8);                                           \
        name##_scales(p, half, i, &u);                                                                                 \
        UNROLL for (int j = 0; j < 8; j++) w[j] = ready(read(part(p, from + each * i + IN_WORDS(half)), j), largest);  \
        UNROLL for (int r = 0; r < rows; r++) {                                                                        \
          t[r] = t[r] + to_float(dot(w, x + r, &u.s, largest, below, scaled)) * splatf(x[r].scale);                    \
          if (min == ONE_MIN) m[r] = m[r] + to_float(u.mins.first) * splatf(x[r].weighted);                            \
          if (min == TWO_MINS) m[r] = m[r] + to_float(weigh_sums(&u.mins, x[r].sums)) * splatf(x[r].scale);            \
        }                                                                                                              \
      }                                                                                                                \
      const around u = name##_head(p, half);                                                                           \
      UNROLL for (int r = 0; r < rows; r++) acc[r] = acc[r] + (min != NO_MIN ? u.d * t[r] - u.m * m[r] : u.d * t[r]);  \
    }                                                                                                                  \
    put_rows(acc, rows, to, at);                                                                                       \
  }

BLOCK_FORMATS(DEFINE_BLOCK_ROWS)
SUPER_FORMATS(DEFINE_SUPER_ROWS)

#define ROWS_CASE(name, count) \
  case count: name##_rows(p, half, n, x, count, k == 0, to, at); break;

// Blocks of activations that all row groups pass before the next: 224 KiB, which second-level caches hold. Sums take a row's
// product whole.
#define PASS 4096

#define DEFINE_MATMUL_Q8(name, cols_of_block)                                                                          \
  NOINLINE void matmul_##name(const uint8_t *w, int out_rows, int cols, const q8_block *panel, int rows,               \
                              destination *to) {                                                                       \
    const int blocks = cols / BLOCK;                                                                                   \
    const ptrdiff_t group = (ptrdiff_t)(cols / cols_of_block) * name##_bytes;                                          \
    const int depth = to->to_sums || rows > PASS / 8 ? blocks : PASS / rows / 8 * 8;                                   \
    for (int k = 0; k < blocks; k += depth) {                                                                          \
      const int n = blocks - k < depth ? blocks - k : depth;                                                           \
      const uint8_t *weights = w + (ptrdiff_t)(k / (cols_of_block / BLOCK)) * name##_bytes;                            \
      for (int o = 0; o < out_rows; o += VECTOR_ROWS, weights += group * (VECTOR_ROWS / ROW_GROUP)) {                  \
        const groups p = groups_at(weights, group);                                                                    \
        for (int half = 0; half < HALVES; half++) {                                                                    \
          for (int r = 0; r < rows; r += ROW_BATCH) {                                                                  \
            const int batch = batch_at(r, rows);                                                                       \
            const q8_block *const x = panel + (ptrdiff_t)r * blocks + (ptrdiff_t)k * batch;                            \
            uint8_t *const at = place_of(to, r, o + LANES * half);                                                     \
            switch (batch) { ROWS_CASES(name) }                                                                        \
          }                                                                                                            \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
