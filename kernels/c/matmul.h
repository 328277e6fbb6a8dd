// Matrix × rows of activations for every weight format, by the contract of Kernels.matmul. Block layouts: kernels/formats.ts.
#pragma once
#include "dot.h"
#include "kernels.h"

static const int8_t IQ4_VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// Plus 12, to be unsigned.
static const int8_t MXFP4_BIASED[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// Activation rows that share one unpacked block: what the registers hold beside it.
#if LANES == 16
#define ROW_BATCH 8
#else
#define ROW_BATCH 4
#endif

INLINE int32_t whole_sum(const int16_t *sums) { return sums[0] + sums[1]; }

// A block of one row of q8 activations.
typedef struct {
  int8_t q[BLOCK];
  float scale;
  int16_t sums[2];
  // f32(scale · f32(s0 + s1))
  float weighted;
} q8_block;

// Activations that a product reads: one row as it is, or several in a panel, block by block and within a block row by row, so that
// all addresses are one and a constant.
typedef struct {
  const int8_t *q;
  const float *scale;
  const int16_t *sums;
  const q8_block *panel;
} q8_rows;

typedef struct {
  const int8_t *q;
  const int16_t *sums;
  float scale, weighted;
} q8_view;

// The row that begins at x, from block k on.
INLINE q8_rows q8_row(const uint8_t *x, int blocks, int k) {
  return (q8_rows){.q = (const int8_t *)x + k * BLOCK,
                   .scale = (const float *)(x + blocks * BLOCK) + k,
                   .sums = (const int16_t *)(x + blocks * (BLOCK + 4)) + 2 * k};
}

INLINE q8_view q8_at(const q8_rows *x, const int rows, int b, int r) {
  if (rows == 1) {
    const int16_t *sums = x->sums + 2 * b;
    return (q8_view){x->q + b * BLOCK, sums, x->scale[b], x->scale[b] * (float)whole_sum(sums)};
  }
  const q8_block *e = x->panel + b * rows + r;
  return (q8_view){e->q, e->sums, e->scale, e->weighted};
}

// Blocks that a panel holds: some 44 KiB, less than the stack of a WebAssembly thread.
#define PANEL 1024
// Rows of one panel; weights pass once for all of them.
#define ROW_CHUNK 64

// Packs blocks k..k+n of `rows` rows: batches of ROW_BATCH rows one after the other. Inlined: GCC 12 for AVX-512 leaves the call of a
// function out, and the panel unfilled (check-targets and the compliance tests see it).
INLINE void pack_panel(const uint8_t *x, int x_stride, int rows, int blocks, int k, int n, q8_block *panel) {
  for (int from = 0; from < rows; from += ROW_BATCH) {
    const int batch = rows - from < ROW_BATCH ? rows - from : ROW_BATCH;
    for (int r = 0; r < batch; r++) {
      const q8_rows row = q8_row(x + (ptrdiff_t)(from + r) * x_stride, blocks, k);
      q8_block *to = panel + from * n + r;
      for (int b = 0; b < n; b++, to += batch) {
        const q8_view in = q8_at(&row, 1, b, 0);
        memcpy(to->q, in.q, BLOCK);
        memcpy(to->sums, in.sums, sizeof(to->sums));
        to->scale = in.scale;
        to->weighted = in.weighted;
      }
    }
  }
}

// 2^(e − 128) for eight bytes e, as a product of two powers in the normal range; exact, also where it is denormal.
INLINE vf e8m0_scales(groups p) {
  const vi e = widen_u8(p);
  const vi half = e >> 1;
  return (vf)((half + 63) << 23) * (vf)((e - half + 63) << 23);
}

// LANES rows of a block of 32 columns, unpacked. `m` belongs to formats with a minimum, `s` and `mins` to those with super-blocks.
typedef struct {
  vf d, m;
  block w;
  scales s, mins;
} unpacked;

// Formats with blocks of 32: NAME_unpack reads a block, NAME_dot gives Σ w·q over the integer weights.

INLINE void q8_0_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->w = as_signed(load_bytes(part(p, 16 + IN_WORDS(half))));
}
INLINE vi q8_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) { return dot_signed(&u->w, q, sums); }

INLINE void q4_0_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->w = load_nibbles(part(p, 16 + IN_WORDS(half)));
}
INLINE vi q4_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(sums_times(sums, -8), &u->w, q, 15);
}

INLINE void q4_1_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->m = load_scales(part(p, 16 + IN_HALVES(half)));
  u->w = load_nibbles(part(p, 32 + IN_WORDS(half)));
}
INLINE vi q4_1_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_plain(splati(0), &u->w, q, 15);
}

INLINE void q5_0_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->w = add_bits(load_nibbles(part(p, 48 + IN_WORDS(half))), part(p, 16 + IN_WORDS(half)), 4);
}
INLINE vi q5_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(sums_times(sums, -16), &u->w, q, 31);
}

INLINE void q5_1_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->m = load_scales(part(p, 16 + IN_HALVES(half)));
  u->w = add_bits(load_nibbles(part(p, 64 + IN_WORDS(half))), part(p, 32 + IN_WORDS(half)), 4);
}
INLINE vi q5_1_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_plain(splati(0), &u->w, q, 31);
}

INLINE void iq4_nl_unpack(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->w = as_signed(lookup(load_nibbles(part(p, 16 + IN_WORDS(half))), IQ4_VALUES));
}
INLINE vi iq4_nl_dot(const unpacked *u, const int8_t *q, const int16_t *sums) { return dot_signed(&u->w, q, sums); }

INLINE void mxfp4_unpack(groups p, const int half, unpacked *u) {
  u->d = e8m0_scales(part(p, IN_BYTES(half)));
  u->w = lookup(load_nibbles(part(p, 8 + IN_WORDS(half))), MXFP4_BIASED);
}
INLINE vi mxfp4_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(sums_times(sums, -12), &u->w, q, 24);
}

// Formats with super-blocks of 256: NAME_head reads d (and dmin into m), NAME_unpack the j-th block of 32 columns, NAME_dot gives
// the scaled Σ, NAME_min what the minima take off.

INLINE void d_head(groups p, const int half, unpacked *u) { u->d = load_scales(part(p, IN_HALVES(half))); }
INLINE void d_dmin_head(groups p, const int half, unpacked *u) {
  u->d = load_scales(part(p, IN_HALVES(half)));
  u->m = load_scales(part(p, 16 + IN_HALVES(half)));
}
INLINE vf no_min(const unpacked *u, const q8_view *x) {
  (void)u;
  (void)x;
  return splatf(0.0f);
}

// f32(m) · f32(scale · f32(s)), with the minima as integers in mins.first
INLINE vf block_min(const unpacked *u, const q8_view *x) { return to_float(u->mins.first) * splatf(x->weighted); }

#define q4_k_head d_dmin_head
INLINE void q4_k_unpack(groups p, const int half, int j, unpacked *u) {
  const vi s = widen_u8(part(p, 32 + 8 * j + IN_BYTES(half)));
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(part(p, 96 + 8 * j + IN_BYTES(half)));
  u->w = load_nibbles(part(p, 160 + 128 * j + IN_WORDS(half)));
}
INLINE vi q4_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_scaled(&u->w, q, 15, &u->s);
}
#define q4_k_min block_min

#define q5_k_head d_dmin_head
INLINE void q5_k_unpack(groups p, const int half, int j, unpacked *u) {
  const vi s = widen_u8(part(p, 32 + 8 * j + IN_BYTES(half)));
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(part(p, 96 + 8 * j + IN_BYTES(half)));
  u->w = add_bits(load_nibbles(part(p, 160 + 160 * j + 32 + IN_WORDS(half))), part(p, 160 + 160 * j + IN_WORDS(half)), 4);
}
INLINE vi q5_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_scaled(&u->w, q, 31, &u->s);
}
#define q5_k_min block_min

#define q2_k_head d_dmin_head
INLINE void q2_k_unpack(groups p, const int half, int j, unpacked *u) {
  const vi first = widen_u8(part(p, 32 + 16 * j + IN_BYTES(half))), second = widen_u8(part(p, 32 + 16 * j + 8 + IN_BYTES(half)));
  u->s = scales_of(first & 15, second & 15);
  u->mins = scales_of(first >> 4, second >> 4);
  u->w = load_pairs(part(p, 160 + 64 * j + IN_WORDS(half)));
}
INLINE vi q2_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_halves(&u->w, q, 3, &u->s);
}
INLINE vf q2_k_min(const unpacked *u, const q8_view *x) {
  return to_float(weigh_sums(&u->mins, x->sums)) * splatf(x->scale);
}

#define q3_k_head d_head
INLINE void q3_k_unpack(groups p, const int half, int j, unpacked *u) {
  u->s = scales_of(widen_i8(part(p, 16 + 16 * j + IN_BYTES(half))), widen_i8(part(p, 16 + 16 * j + 8 + IN_BYTES(half))));
  u->w = add_bits(load_pairs(part(p, 144 + 96 * j + IN_WORDS(half))), part(p, 144 + 96 * j + 64 + IN_WORDS(half)), 2);
}
INLINE vi q3_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_halves(&u->w, q, 7, &u->s) - (weigh_sums(&u->s, sums) << 2);
}
#define q3_k_min no_min

#define q6_k_head d_head
INLINE void q6_k_unpack(groups p, const int half, int j, unpacked *u) {
  u->s = scales_of(widen_i8(part(p, 16 + 16 * j + IN_BYTES(half))), widen_i8(part(p, 16 + 16 * j + 8 + IN_BYTES(half))));
  u->w = add_pairs(load_nibbles(part(p, 144 + 192 * j + IN_WORDS(half))), part(p, 144 + 192 * j + 128 + IN_WORDS(half)), 4);
}
INLINE vi q6_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_halves(&u->w, q, 63, &u->s) - (weigh_sums(&u->s, sums) << 5);
}
#define q6_k_min no_min

#define iq4_xs_head d_head
INLINE void iq4_xs_unpack(groups p, const int half, int j, unpacked *u) {
  u->s.first = widen_i8(part(p, 16 + 8 * j + IN_BYTES(half)));
  u->w = as_signed(lookup(load_nibbles(part(p, 80 + 128 * j + IN_WORDS(half))), IQ4_VALUES));
}
INLINE vi iq4_xs_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_signed(&u->w, q, sums) * u->s.first;
}
#define iq4_xs_min no_min

// Two groups are two streams that jump from group to group, which the processor does not foresee. Asks for `bytes` from `offset` on,
// some blocks ahead.
INLINE void prefetch(groups p, int offset, int bytes) {
#if LANES == 16
  UNROLL for (int i = 0; i < bytes; i += 64) {
    __builtin_prefetch(p.first + 1024 + offset + i);
    __builtin_prefetch(p.second + 1024 + offset + i);
  }
#else
  (void)p;
  (void)offset;
  (void)bytes;
#endif
}

// out[r][LANES rows] = W · x over `blocks` blocks, added to what out holds unless these are the first.
#define DEFINE_BLOCK_ROWS(name, bytes, has_min)                                                                        \
  INLINE void name##_rows(groups p, const int half, int blocks, const q8_rows x, const int rows, int first,            \
                          uint8_t *out, int out_stride) {                                                              \
    vf acc[ROW_BATCH];                                                                                                 \
    begin_rows(acc, rows, first, out, out_stride);                                                                     \
    for (int b = 0; b < blocks; b++, p = part(p, bytes)) {                                                             \
      unpacked u;                                                                                                      \
      prefetch(p, 0, bytes);                                                                                           \
      name##_unpack(p, half, &u);                                                                                      \
      UNROLL for (int r = 0; r < rows; r++) {                                                                          \
        const q8_view in = q8_at(&x, rows, b, r);                                                                      \
        acc[r] = acc[r] + to_float(name##_dot(&u, in.q, in.sums)) * (u.d * splatf(in.scale));                          \
        if (has_min) acc[r] = acc[r] + u.m * splatf(in.weighted);                                                      \
      }                                                                                                                \
    }                                                                                                                  \
    end_rows(acc, rows, out, out_stride);                                                                              \
  }

#define DEFINE_SUPER_ROWS(name, bytes, has_min)                                                                        \
  INLINE void name##_rows(groups p, const int half, int blocks, const q8_rows x, const int rows, int first,            \
                          uint8_t *out, int out_stride) {                                                              \
    vf acc[ROW_BATCH], t[ROW_BATCH], m[ROW_BATCH];                                                                     \
    begin_rows(acc, rows, first, out, out_stride);                                                                     \
    for (int b = 0; b < blocks; b += 8, p = part(p, bytes)) {                                                          \
      unpacked u;                                                                                                      \
      UNROLL for (int r = 0; r < rows; r++) t[r] = m[r] = splatf(0.0f);                                                \
      for (int j = 0; j < 8; j++) {                                                                                    \
        prefetch(p, j * (bytes / 8), bytes / 8);                                                                       \
        name##_unpack(p, half, j, &u);                                                                                 \
        UNROLL for (int r = 0; r < rows; r++) {                                                                        \
          const q8_view in = q8_at(&x, rows, b + j, r);                                                                \
          t[r] = t[r] + to_float(name##_dot(&u, in.q, in.sums)) * splatf(in.scale);                                    \
          if (has_min) m[r] = m[r] + name##_min(&u, &in);                                                              \
        }                                                                                                              \
      }                                                                                                                \
      name##_head(p, half, &u);                                                                                        \
      UNROLL for (int r = 0; r < rows; r++) acc[r] = acc[r] + (has_min ? u.d * t[r] - u.m * m[r] : u.d * t[r]);        \
    }                                                                                                                  \
    end_rows(acc, rows, out, out_stride);                                                                              \
  }

INLINE void begin_rows(vf *acc, const int rows, int first, const uint8_t *out, int out_stride) {
  UNROLL for (int r = 0; r < rows; r++) {
    if (first) acc[r] = splatf(0.0f);
    else memcpy(&acc[r], out + (ptrdiff_t)r * out_stride, sizeof(vf));
  }
}

INLINE void end_rows(const vf *acc, const int rows, uint8_t *out, int out_stride) {
  UNROLL for (int r = 0; r < rows; r++) memcpy(out + (ptrdiff_t)r * out_stride, &acc[r], sizeof(vf));
}

#define ROWS_CASE(name, count) \
  case count: name##_rows(p, half, n, in, count, k == 0, to, out_stride); break;
#if ROW_BATCH == 8
#define ROWS_CASES(name)                                                                                               \
  ROWS_CASE(name, 1) ROWS_CASE(name, 2) ROWS_CASE(name, 3) ROWS_CASE(name, 4) ROWS_CASE(name, 5) ROWS_CASE(name, 6)    \
  ROWS_CASE(name, 7) ROWS_CASE(name, 8)
#else
#define ROWS_CASES(name) ROWS_CASE(name, 1) ROWS_CASE(name, 2) ROWS_CASE(name, 3) ROWS_CASE(name, 4)
#endif

// One row takes the weights as they lie. Of more, a panel is packed for some columns at a time, and each row group passes it.
#define DEFINE_MATMUL_Q8(name, bytes, cols_of_block)                                                                   \
  NOINLINE void matmul_##name(const uint8_t *w, int out_rows, int cols, const uint8_t *x, int x_stride, int rows,      \
                              uint8_t *out, int out_stride) {                                                          \
    const int blocks = cols / BLOCK;                                                                                   \
    const ptrdiff_t group = (ptrdiff_t)(cols / cols_of_block) * bytes;                                                 \
    q8_block panel[PANEL];                                                                                             \
    for (; rows > 0; rows -= ROW_CHUNK, x += (ptrdiff_t)ROW_CHUNK * x_stride, out += (ptrdiff_t)ROW_CHUNK * out_stride) { \
      const int chunk = rows < ROW_CHUNK ? rows : ROW_CHUNK;                                                           \
      const int depth = chunk == 1 ? blocks : PANEL / chunk / 8 * 8;                                                   \
      for (int k = 0; k < blocks; k += depth) {                                                                        \
        const int n = blocks - k < depth ? blocks - k : depth;                                                         \
        if (chunk > 1) pack_panel(x, x_stride, chunk, blocks, k, n, panel);                                            \
        const uint8_t *weights = w + (ptrdiff_t)(k / (cols_of_block / BLOCK)) * bytes;                                 \
        for (int o = 0; o < out_rows; o += VECTOR_ROWS, weights += group * (VECTOR_ROWS / ROW_GROUP)) {                \
          const groups p = groups_at(weights, group);                                                                  \
          for (int half = 0; half < HALVES; half++) {                                                                  \
            for (int r = 0; r < chunk; r += ROW_BATCH) {                                                               \
              uint8_t *const to = out + (ptrdiff_t)r * out_stride + o * 4 + IN_WORDS(half);                            \
              q8_rows in = q8_row(x + (ptrdiff_t)r * x_stride, blocks, k);                                             \
              in.panel = panel + r * n;                                                                                \
              switch (chunk - r < ROW_BATCH ? chunk - r : ROW_BATCH) { ROWS_CASES(name) }                              \
            }                                                                                                          \
          }                                                                                                            \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }

DEFINE_BLOCK_ROWS(q8_0, 272, 0)
DEFINE_BLOCK_ROWS(q4_0, 144, 0)
DEFINE_BLOCK_ROWS(q4_1, 160, 1)
DEFINE_BLOCK_ROWS(q5_0, 176, 0)
DEFINE_BLOCK_ROWS(q5_1, 192, 1)
DEFINE_BLOCK_ROWS(iq4_nl, 144, 0)
DEFINE_BLOCK_ROWS(mxfp4, 136, 0)
DEFINE_SUPER_ROWS(q2_k, 672, 1)
DEFINE_SUPER_ROWS(q3_k, 912, 0)
DEFINE_SUPER_ROWS(q4_k, 1184, 1)
DEFINE_SUPER_ROWS(q5_k, 1440, 1)
DEFINE_SUPER_ROWS(q6_k, 1680, 0)
DEFINE_SUPER_ROWS(iq4_xs, 1104, 0)

#define DEFINE_FORMAT(number, name, block_cols, source_bytes, tile_bytes) DEFINE_MATMUL_Q8(name, tile_bytes, block_cols)
STARLING_QUANTISED_FORMATS(DEFINE_FORMAT)

INLINE vf load_f32(groups p) {
#if LANES == 16
  return (vf)_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps((const float *)p.first)),
                                _mm256_loadu_ps((const float *)p.second), 1);
#else
  vf v;
  memcpy(&v, p, sizeof(v));
  return v;
#endif
}
INLINE vf load_bf16(groups p) {
#if LANES == 16
  const __m256i halves = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p.first)),
                                                 _mm_loadu_si128((const __m128i *)p.second), 1);
  return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
#elif LANES == 8
  return load8_bf16(p);
#else
  typedef uint16_t halves __attribute__((vector_size(8)));
  halves h;
  memcpy(&h, p, 8);
  return (vf)(__builtin_convertvector(h, vi) << 16);
#endif
}

// Rows of float activations that share a loaded weight: each needs eight accumulators.
#if defined(__AVX512F__)
#define FLOAT_BATCH 3
#else
#define FLOAT_BATCH 1
#endif

// Eight accumulators by column mod 8; the tree adds them lane by lane, as each lane is a row.
#define DEFINE_FLOAT_ROWS(name, bytes, load)                                                                           \
  INLINE void name##_rows(groups p, int cols, const uint8_t *x, int x_stride, const int rows, uint8_t *out,            \
                          int out_stride) {                                                                            \
    vf a[FLOAT_BATCH][8];                                                                                              \
    UNROLL for (int r = 0; r < rows; r++) {                                                                            \
      UNROLL for (int s = 0; s < 8; s++) a[r][s] = splatf(0.0f);                                                       \
    }                                                                                                                  \
    for (int c = 0; c < cols; c += 8) {                                                                                \
      UNROLL for (int s = 0; s < 8; s++) {                                                                             \
        const vf weight = load(part(p, (ptrdiff_t)(c + s) * bytes));                                                   \
        UNROLL for (int r = 0; r < rows; r++) {                                                                        \
          a[r][s] = a[r][s] + weight * splatf(((const float *)(x + (ptrdiff_t)r * x_stride))[c + s]);                  \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int r = 0; r < rows; r++) {                                                                            \
      const vf *const v = a[r];                                                                                        \
      const vf sum = ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));                                \
      memcpy(out + (ptrdiff_t)r * out_stride, &sum, sizeof(vf));                                                       \
    }                                                                                                                  \
  }

#define DEFINE_MATMUL_FLOAT(name, bytes, load)                                                                         \
  DEFINE_FLOAT_ROWS(name, bytes, load)                                                                                 \
  NOINLINE void matmul_##name(const uint8_t *w, int out_rows, int cols, const uint8_t *x, int x_stride, int rows,      \
                              uint8_t *out, int out_stride) {                                                          \
    const ptrdiff_t group = (ptrdiff_t)cols * bytes;                                                                   \
    for (int o = 0; o < out_rows; o += VECTOR_ROWS, w += group * (VECTOR_ROWS / ROW_GROUP), out += VECTOR_ROWS * 4) {  \
      for (int half = 0; half < HALVES; half++) {                                                                      \
        const groups p = part(groups_at(w, group), (bytes / 2) * half);                                                \
        uint8_t *const to = out + IN_WORDS(half);                                                                      \
        int r = 0;                                                                                                     \
        for (; r + FLOAT_BATCH <= rows; r += FLOAT_BATCH) {                                                            \
          name##_rows(p, cols, x + (ptrdiff_t)r * x_stride, x_stride, FLOAT_BATCH, to + (ptrdiff_t)r * out_stride,     \
                      out_stride);                                                                                     \
        }                                                                                                              \
        for (; r < rows; r++) {                                                                                        \
          name##_rows(p, cols, x + (ptrdiff_t)r * x_stride, x_stride, 1, to + (ptrdiff_t)r * out_stride, out_stride);  \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }

DEFINE_MATMUL_FLOAT(f32, 32, load_f32)
DEFINE_MATMUL_FLOAT(f16, 16, load_scales)
DEFINE_MATMUL_FLOAT(bf16, 16, load_bf16)

INLINE void matmul_format(int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *x, int x_stride, int rows,
                          uint8_t *out, int out_stride) {
  switch (format) {
#define MATMUL_CASE(number, name, block_cols, source_bytes, tile_bytes) \
  case number: matmul_##name(weights, out_rows, cols, x, x_stride, rows, out, out_stride); break;
    STARLING_QUANTISED_FORMATS(MATMUL_CASE)
    case FORMAT_F32: matmul_f32(weights, out_rows, cols, x, x_stride, rows, out, out_stride); break;
    case FORMAT_F16: matmul_f16(weights, out_rows, cols, x, x_stride, rows, out, out_stride); break;
    case FORMAT_BF16: matmul_bf16(weights, out_rows, cols, x, x_stride, rows, out, out_stride); break;
  }
}
