// Matrix × rows of activations for every weight format, by the contract of Kernels.matmul. Block layouts: kernels/formats.ts.
#pragma once
#include "dot.h"
#include "kernels.h"

static const int8_t IQ4_VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// Plus 12, to be unsigned.
static const int8_t MXFP4_BIASED[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// Activation rows that share one unpacked block.
#define ROW_BATCH 4

// One row of q8 activations.
typedef struct {
  const int8_t *q;
  const float *scale;
  const int16_t *sums;
} q8_row;

INLINE q8_row q8_row_at(const uint8_t *x, int blocks) {
  return (q8_row){(const int8_t *)x, (const float *)(x + blocks * BLOCK), (const int16_t *)(x + blocks * (BLOCK + 4))};
}

INLINE int32_t whole_sum(const int16_t *sums) { return sums[0] + sums[1]; }

// 2^(e − 128) for eight bytes e, as a product of two powers in the normal range; exact, also where it is denormal.
INLINE vf e8m0_scales(const uint8_t *p) {
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

INLINE void q8_0_unpack(const uint8_t *p, const int half, unpacked *u) {
  u->d = load_scales(p + IN_HALVES(half));
  u->w = as_signed(load_bytes(p + 16 + IN_WORDS(half)));
}
INLINE vi q8_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) { return dot_signed(&u->w, q, sums); }

INLINE void q4_0_unpack(const uint8_t *p, const int half, unpacked *u) {
  u->d = load_scales(p + IN_HALVES(half));
  u->w = load_nibbles(p + 16 + IN_WORDS(half));
}
INLINE vi q4_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(sums_times(sums, -8), &u->w, q, 15);
}

INLINE void q4_1_unpack(const uint8_t *p, const int half, unpacked *u) {
  u->d = load_scales(p + IN_HALVES(half));
  u->m = load_scales(p + 16 + IN_HALVES(half));
  u->w = load_nibbles(p + 32 + IN_WORDS(half));
}
INLINE vi q4_1_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_plain(splati(0), &u->w, q, 15);
}

INLINE void q5_0_unpack(const uint8_t *p, const int half, unpacked *u) {
  u->d = load_scales(p + IN_HALVES(half));
  u->w = add_bits(load_nibbles(p + 48 + IN_WORDS(half)), p + 16 + IN_WORDS(half), 4);
}
INLINE vi q5_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(sums_times(sums, -16), &u->w, q, 31);
}

INLINE void q5_1_unpack(const uint8_t *p, const int half, unpacked *u) {
  u->d = load_scales(p + IN_HALVES(half));
  u->m = load_scales(p + 16 + IN_HALVES(half));
  u->w = add_bits(load_nibbles(p + 64 + IN_WORDS(half)), p + 32 + IN_WORDS(half), 4);
}
INLINE vi q5_1_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_plain(splati(0), &u->w, q, 31);
}

INLINE void iq4_nl_unpack(const uint8_t *p, const int half, unpacked *u) {
  u->d = load_scales(p + IN_HALVES(half));
  u->w = as_signed(lookup(load_nibbles(p + 16 + IN_WORDS(half)), IQ4_VALUES));
}
INLINE vi iq4_nl_dot(const unpacked *u, const int8_t *q, const int16_t *sums) { return dot_signed(&u->w, q, sums); }

INLINE void mxfp4_unpack(const uint8_t *p, const int half, unpacked *u) {
  u->d = e8m0_scales(p + IN_BYTES(half));
  u->w = lookup(load_nibbles(p + 8 + IN_WORDS(half)), MXFP4_BIASED);
}
INLINE vi mxfp4_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(sums_times(sums, -12), &u->w, q, 24);
}

// Formats with super-blocks of 256: NAME_head reads d (and dmin into m), NAME_unpack the j-th block of 32 columns, NAME_dot gives
// the scaled Σ, NAME_min what the minima take off.

INLINE void d_head(const uint8_t *p, const int half, unpacked *u) { u->d = load_scales(p + IN_HALVES(half)); }
INLINE void d_dmin_head(const uint8_t *p, const int half, unpacked *u) {
  u->d = load_scales(p + IN_HALVES(half));
  u->m = load_scales(p + 16 + IN_HALVES(half));
}
INLINE vf no_min(const unpacked *u, float scale, const int16_t *sums) {
  (void)u;
  (void)scale;
  (void)sums;
  return splatf(0.0f);
}

// f32(m) · f32(scale · f32(s)), with the minima as integers in mins.first
INLINE vf block_min(const unpacked *u, float scale, const int16_t *sums) {
  return to_float(u->mins.first) * splatf(scale * (float)whole_sum(sums));
}

#define q4_k_head d_dmin_head
INLINE void q4_k_unpack(const uint8_t *p, const int half, int j, unpacked *u) {
  const vi s = widen_u8(p + 32 + 8 * j + IN_BYTES(half));
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(p + 96 + 8 * j + IN_BYTES(half));
  u->w = load_nibbles(p + 160 + 128 * j + IN_WORDS(half));
}
INLINE vi q4_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_scaled(&u->w, q, 15, &u->s);
}
#define q4_k_min block_min

#define q5_k_head d_dmin_head
INLINE void q5_k_unpack(const uint8_t *p, const int half, int j, unpacked *u) {
  const vi s = widen_u8(p + 32 + 8 * j + IN_BYTES(half));
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(p + 96 + 8 * j + IN_BYTES(half));
  u->w = add_bits(load_nibbles(p + 160 + 160 * j + 32 + IN_WORDS(half)), p + 160 + 160 * j + IN_WORDS(half), 4);
}
INLINE vi q5_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_scaled(&u->w, q, 31, &u->s);
}
#define q5_k_min block_min

#define q2_k_head d_dmin_head
INLINE void q2_k_unpack(const uint8_t *p, const int half, int j, unpacked *u) {
  const vi first = widen_u8(p + 32 + 16 * j + IN_BYTES(half)), second = widen_u8(p + 32 + 16 * j + 8 + IN_BYTES(half));
  u->s = scales_of(first & 15, second & 15);
  u->mins = scales_of(first >> 4, second >> 4);
  u->w = load_pairs(p + 160 + 64 * j + IN_WORDS(half));
}
INLINE vi q2_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_halves(&u->w, q, 3, &u->s);
}
INLINE vf q2_k_min(const unpacked *u, float scale, const int16_t *sums) {
  return to_float(weigh_sums(&u->mins, sums)) * splatf(scale);
}

#define q3_k_head d_head
INLINE void q3_k_unpack(const uint8_t *p, const int half, int j, unpacked *u) {
  u->s = scales_of(widen_i8(p + 16 + 16 * j + IN_BYTES(half)), widen_i8(p + 16 + 16 * j + 8 + IN_BYTES(half)));
  u->w = add_bits(load_pairs(p + 144 + 96 * j + IN_WORDS(half)), p + 144 + 96 * j + 64 + IN_WORDS(half), 2);
}
INLINE vi q3_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_halves(&u->w, q, 7, &u->s) - (weigh_sums(&u->s, sums) << 2);
}
#define q3_k_min no_min

#define q6_k_head d_head
INLINE void q6_k_unpack(const uint8_t *p, const int half, int j, unpacked *u) {
  u->s = scales_of(widen_i8(p + 16 + 16 * j + IN_BYTES(half)), widen_i8(p + 16 + 16 * j + 8 + IN_BYTES(half)));
  u->w = add_pairs(load_nibbles(p + 144 + 192 * j + IN_WORDS(half)), p + 144 + 192 * j + 128 + IN_WORDS(half), 4);
}
INLINE vi q6_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_halves(&u->w, q, 63, &u->s) - (weigh_sums(&u->s, sums) << 5);
}
#define q6_k_min no_min

#define iq4_xs_head d_head
INLINE void iq4_xs_unpack(const uint8_t *p, const int half, int j, unpacked *u) {
  u->s.first = widen_i8(p + 16 + 8 * j + IN_BYTES(half));
  u->w = as_signed(lookup(load_nibbles(p + 80 + 128 * j + IN_WORDS(half)), IQ4_VALUES));
}
INLINE vi iq4_xs_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_signed(&u->w, q, sums) * u->s.first;
}
#define iq4_xs_min no_min

#define DEFINE_BLOCK_ROWS(name, bytes, has_min)                                                                        \
  INLINE void name##_rows(const uint8_t *p, const int half, int blocks, const uint8_t *x, int x_stride, const int rows,\
                          uint8_t *out, int out_stride) {                                                              \
    vf acc[ROW_BATCH];                                                                                                 \
    q8_row row[ROW_BATCH];                                                                                             \
    UNROLL for (int r = 0; r < rows; r++) {                                                                            \
      acc[r] = splatf(0.0f);                                                                                           \
      row[r] = q8_row_at(x + (ptrdiff_t)r * x_stride, blocks);                                                         \
    }                                                                                                                  \
    for (int b = 0; b < blocks; b++, p += bytes) {                                                                     \
      unpacked u;                                                                                                      \
      name##_unpack(p, half, &u);                                                                                      \
      UNROLL for (int r = 0; r < rows; r++) {                                                                          \
        const float scale = row[r].scale[b];                                                                           \
        const int16_t *sums = row[r].sums + 2 * b;                                                                     \
        acc[r] = acc[r] + to_float(name##_dot(&u, row[r].q + b * BLOCK, sums)) * (u.d * splatf(scale));                \
        if (has_min) acc[r] = acc[r] + u.m * splatf(scale * (float)whole_sum(sums));                                   \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int r = 0; r < rows; r++) memcpy(out + (ptrdiff_t)r * out_stride, &acc[r], sizeof(vf));                \
  }

#define DEFINE_SUPER_ROWS(name, bytes, has_min)                                                                        \
  INLINE void name##_rows(const uint8_t *p, const int half, int blocks, const uint8_t *x, int x_stride, const int rows,\
                          uint8_t *out, int out_stride) {                                                              \
    vf acc[ROW_BATCH], t[ROW_BATCH], m[ROW_BATCH];                                                                     \
    q8_row row[ROW_BATCH];                                                                                             \
    UNROLL for (int r = 0; r < rows; r++) {                                                                            \
      acc[r] = splatf(0.0f);                                                                                           \
      row[r] = q8_row_at(x + (ptrdiff_t)r * x_stride, blocks);                                                         \
    }                                                                                                                  \
    for (int b = 0; b < blocks; b += 8, p += bytes) {                                                                  \
      unpacked u;                                                                                                      \
      UNROLL for (int r = 0; r < rows; r++) t[r] = m[r] = splatf(0.0f);                                                \
      for (int j = 0; j < 8; j++) {                                                                                    \
        name##_unpack(p, half, j, &u);                                                                                 \
        UNROLL for (int r = 0; r < rows; r++) {                                                                        \
          const float scale = row[r].scale[b + j];                                                                     \
          const int16_t *sums = row[r].sums + 2 * (b + j);                                                             \
          t[r] = t[r] + to_float(name##_dot(&u, row[r].q + (b + j) * BLOCK, sums)) * splatf(scale);                    \
          if (has_min) m[r] = m[r] + name##_min(&u, scale, sums);                                                      \
        }                                                                                                              \
      }                                                                                                                \
      name##_head(p, half, &u);                                                                                        \
      UNROLL for (int r = 0; r < rows; r++) acc[r] = acc[r] + (has_min ? u.d * t[r] - u.m * m[r] : u.d * t[r]);        \
    }                                                                                                                  \
    UNROLL for (int r = 0; r < rows; r++) memcpy(out + (ptrdiff_t)r * out_stride, &acc[r], sizeof(vf));                \
  }

// Chunks of rows whose activations stay in the nearer caches; within a chunk the weights pass once, group by group.
#define ROW_CHUNK 16

#define DEFINE_MATMUL_Q8(name, bytes, cols_of_block)                                                                   \
  INLINE void matmul_##name##_chunk(const uint8_t *w, int out_rows, int cols, const uint8_t *x, int x_stride,          \
                                    int rows, uint8_t *out, int out_stride) {                                          \
    const int blocks = cols / BLOCK;                                                                                   \
    const ptrdiff_t group = (ptrdiff_t)(cols / cols_of_block) * bytes;                                                 \
    for (int o = 0; o < out_rows; o += ROW_GROUP, w += group, out += ROW_GROUP * 4) {                                  \
      for (int half = 0; half < HALVES; half++) {                                                                      \
        const uint8_t *in = x;                                                                                         \
        uint8_t *to = out + IN_WORDS(half);                                                                            \
        int left = rows;                                                                                               \
        for (; left >= ROW_BATCH; left -= ROW_BATCH) {                                                                 \
          name##_rows(w, half, blocks, in, x_stride, ROW_BATCH, to, out_stride);                                       \
          in += (ptrdiff_t)ROW_BATCH * x_stride;                                                                       \
          to += (ptrdiff_t)ROW_BATCH * out_stride;                                                                     \
        }                                                                                                              \
        if (left == 3) name##_rows(w, half, blocks, in, x_stride, 3, to, out_stride);                                  \
        else if (left == 2) name##_rows(w, half, blocks, in, x_stride, 2, to, out_stride);                             \
        else if (left == 1) name##_rows(w, half, blocks, in, x_stride, 1, to, out_stride);                             \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  NOINLINE void matmul_##name(const uint8_t *w, int out_rows, int cols, const uint8_t *x, int x_stride, int rows,      \
                              uint8_t *out, int out_stride) {                                                          \
    for (int r = 0; r < rows; r += ROW_CHUNK) {                                                                        \
      const int chunk = rows - r < ROW_CHUNK ? rows - r : ROW_CHUNK;                                                   \
      matmul_##name##_chunk(w, out_rows, cols, x + (ptrdiff_t)r * x_stride, x_stride, chunk,                           \
                            out + (ptrdiff_t)r * out_stride, out_stride);                                              \
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

INLINE vf load_f32(const void *p) { vf v; memcpy(&v, p, sizeof(v)); return v; }
INLINE vf load_bf16(const void *p) {
#if LANES == 8
  return load8_bf16(p);
#else
  typedef uint16_t halves __attribute__((vector_size(8)));
  halves h;
  memcpy(&h, p, 8);
  return (vf)(__builtin_convertvector(h, vi) << 16);
#endif
}

// Eight accumulators by column mod 8; the tree adds them lane by lane, as each lane is a row.
#define DEFINE_MATMUL_FLOAT(name, bytes, load)                                                                         \
  NOINLINE void matmul_##name(const uint8_t *w, int out_rows, int cols, const uint8_t *x, int x_stride, int rows,      \
                              uint8_t *out, int out_stride) {                                                          \
    for (int o = 0; o < out_rows; o += ROW_GROUP, w += (ptrdiff_t)cols * bytes, out += ROW_GROUP * 4) {                \
      for (int half = 0; half < HALVES; half++) {                                                                      \
        const uint8_t *weights = w + (bytes / 2) * half;                                                               \
        for (int r = 0; r < rows; r++) {                                                                               \
          const float *row = (const float *)(x + (ptrdiff_t)r * x_stride);                                             \
          vf a[8];                                                                                                     \
          UNROLL for (int s = 0; s < 8; s++) a[s] = splatf(0.0f);                                                      \
          for (int c = 0; c < cols; c += 8) {                                                                          \
            UNROLL for (int s = 0; s < 8; s++) {                                                                       \
              a[s] = a[s] + load(weights + (ptrdiff_t)(c + s) * bytes) * splatf(row[c + s]);                           \
            }                                                                                                          \
          }                                                                                                            \
          const vf sum = ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));                            \
          memcpy(out + (ptrdiff_t)r * out_stride + IN_WORDS(half), &sum, sizeof(vf));                                  \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }

DEFINE_MATMUL_FLOAT(f32, 32, load_f32)
DEFINE_MATMUL_FLOAT(f16, 16, load_scales)
DEFINE_MATMUL_FLOAT(bf16, 16, load_bf16)
