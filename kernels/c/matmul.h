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

// 2^(e − 128) for eight bytes e; below the normal range the bits of a denormal.
INLINE v8f e8m0_scales(const uint8_t *p) {
  const v8i e = widen_u8(p);
  const v8i denormal = (v8i)(e < splat8i(2));
  const v8i small = (splat8i(0x00200000) & (v8i)(e == splat8i(0))) | (splat8i(0x00400000) & (v8i)(e == splat8i(1)));
  return (v8f)((denormal & small) | (~denormal & ((e - splat8i(1)) << 23)));
}

// A block of 32 columns, unpacked. `m` belongs to formats with a minimum, `s` and `mins` to those with super-blocks.
typedef struct {
  v8f d, m;
  block w;
  scales s, mins;
} unpacked;

// Formats with blocks of 32: NAME_unpack reads a block, NAME_dot gives Σ w·q over the integer weights.

INLINE void q8_0_unpack(const uint8_t *p, unpacked *u) {
  u->d = load8_f16(p);
  u->w = as_signed(load_bytes(p + 16));
}
INLINE v8i q8_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) { return dot_signed(&u->w, q, sums); }

INLINE void q4_0_unpack(const uint8_t *p, unpacked *u) {
  u->d = load8_f16(p);
  u->w = load_nibbles(p + 16);
}
INLINE v8i q4_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(&u->w, q, 15) - splat8i(8 * whole_sum(sums));
}

INLINE void q4_1_unpack(const uint8_t *p, unpacked *u) {
  u->d = load8_f16(p);
  u->m = load8_f16(p + 16);
  u->w = load_nibbles(p + 32);
}
INLINE v8i q4_1_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_plain(&u->w, q, 15);
}

INLINE void q5_0_unpack(const uint8_t *p, unpacked *u) {
  u->d = load8_f16(p);
  u->w = add_bits(load_nibbles(p + 48), p + 16, 4);
}
INLINE v8i q5_0_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(&u->w, q, 31) - splat8i(16 * whole_sum(sums));
}

INLINE void q5_1_unpack(const uint8_t *p, unpacked *u) {
  u->d = load8_f16(p);
  u->m = load8_f16(p + 16);
  u->w = add_bits(load_nibbles(p + 64), p + 32, 4);
}
INLINE v8i q5_1_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_plain(&u->w, q, 31);
}

INLINE void iq4_nl_unpack(const uint8_t *p, unpacked *u) {
  u->d = load8_f16(p);
  u->w = as_signed(lookup(load_nibbles(p + 16), IQ4_VALUES));
}
INLINE v8i iq4_nl_dot(const unpacked *u, const int8_t *q, const int16_t *sums) { return dot_signed(&u->w, q, sums); }

INLINE void mxfp4_unpack(const uint8_t *p, unpacked *u) {
  u->d = e8m0_scales(p);
  u->w = lookup(load_nibbles(p + 8), MXFP4_BIASED);
}
INLINE v8i mxfp4_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_plain(&u->w, q, 24) - splat8i(12 * whole_sum(sums));
}

// Formats with super-blocks of 256: NAME_head reads d (and dmin into m), NAME_unpack the j-th block of 32 columns, NAME_dot gives
// the scaled Σ, NAME_min what the minima take off.

INLINE void d_head(const uint8_t *p, unpacked *u) { u->d = load8_f16(p); }
INLINE void d_dmin_head(const uint8_t *p, unpacked *u) {
  u->d = load8_f16(p);
  u->m = load8_f16(p + 16);
}
INLINE v8f no_min(const unpacked *u, float scale, const int16_t *sums) {
  (void)u;
  (void)scale;
  (void)sums;
  return splat8(0.0f);
}

// f32(m) · f32(scale · f32(s)), with the minima as integers in mins.first
INLINE v8f block_min(const unpacked *u, float scale, const int16_t *sums) {
  return to_float8(u->mins.first) * splat8(scale * (float)whole_sum(sums));
}

#define q4_k_head d_dmin_head
INLINE void q4_k_unpack(const uint8_t *p, int j, unpacked *u) {
  const v8i s = widen_u8(p + 32 + 8 * j);
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(p + 96 + 8 * j);
  u->w = load_nibbles(p + 160 + 128 * j);
}
INLINE v8i q4_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_scaled(&u->w, q, 15, &u->s);
}
#define q4_k_min block_min

#define q5_k_head d_dmin_head
INLINE void q5_k_unpack(const uint8_t *p, int j, unpacked *u) {
  const v8i s = widen_u8(p + 32 + 8 * j);
  u->s = scales_of(s, s);
  u->mins.first = widen_u8(p + 96 + 8 * j);
  u->w = add_bits(load_nibbles(p + 160 + 160 * j + 32), p + 160 + 160 * j, 4);
}
INLINE v8i q5_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_scaled(&u->w, q, 31, &u->s);
}
#define q5_k_min block_min

#define q2_k_head d_dmin_head
INLINE void q2_k_unpack(const uint8_t *p, int j, unpacked *u) {
  const v8i first = widen_u8(p + 32 + 16 * j), second = widen_u8(p + 32 + 16 * j + 8);
  u->s = scales_of(first & 15, second & 15);
  u->mins = scales_of(first >> 4, second >> 4);
  u->w = load_pairs(p + 160 + 64 * j);
}
INLINE v8i q2_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  (void)sums;
  return dot_halves(&u->w, q, 3, &u->s);
}
INLINE v8f q2_k_min(const unpacked *u, float scale, const int16_t *sums) {
  return to_float8(weigh_sums(&u->mins, sums)) * splat8(scale);
}

#define q3_k_head d_head
INLINE void q3_k_unpack(const uint8_t *p, int j, unpacked *u) {
  u->s = scales_of(widen_i8(p + 16 + 16 * j), widen_i8(p + 16 + 16 * j + 8));
  u->w = add_bits(load_pairs(p + 144 + 96 * j), p + 144 + 96 * j + 64, 2);
}
INLINE v8i q3_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_halves(&u->w, q, 7, &u->s) - (weigh_sums(&u->s, sums) << 2);
}
#define q3_k_min no_min

#define q6_k_head d_head
INLINE void q6_k_unpack(const uint8_t *p, int j, unpacked *u) {
  u->s = scales_of(widen_i8(p + 16 + 16 * j), widen_i8(p + 16 + 16 * j + 8));
  u->w = add_pairs(load_nibbles(p + 144 + 192 * j), p + 144 + 192 * j + 128, 4);
}
INLINE v8i q6_k_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_halves(&u->w, q, 63, &u->s) - (weigh_sums(&u->s, sums) << 5);
}
#define q6_k_min no_min

#define iq4_xs_head d_head
INLINE void iq4_xs_unpack(const uint8_t *p, int j, unpacked *u) {
  u->s.first = widen_i8(p + 16 + 8 * j);
  u->w = as_signed(lookup(load_nibbles(p + 80 + 128 * j), IQ4_VALUES));
}
INLINE v8i iq4_xs_dot(const unpacked *u, const int8_t *q, const int16_t *sums) {
  return dot_signed(&u->w, q, sums) * u->s.first;
}
#define iq4_xs_min no_min

#define DEFINE_BLOCK_ROWS(name, bytes, has_min)                                                                        \
  INLINE void name##_rows(const uint8_t *p, int blocks, const uint8_t *x, int x_stride, const int rows, uint8_t *out,  \
                          int out_stride) {                                                                            \
    v8f acc[ROW_BATCH];                                                                                                \
    q8_row row[ROW_BATCH];                                                                                             \
    UNROLL for (int r = 0; r < rows; r++) {                                                                            \
      acc[r] = splat8(0.0f);                                                                                           \
      row[r] = q8_row_at(x + (ptrdiff_t)r * x_stride, blocks);                                                         \
    }                                                                                                                  \
    for (int b = 0; b < blocks; b++, p += bytes) {                                                                     \
      unpacked u;                                                                                                      \
      name##_unpack(p, &u);                                                                                            \
      UNROLL for (int r = 0; r < rows; r++) {                                                                          \
        const float scale = row[r].scale[b];                                                                           \
        const int16_t *sums = row[r].sums + 2 * b;                                                                     \
        acc[r] = acc[r] + to_float8(name##_dot(&u, row[r].q + b * BLOCK, sums)) * (u.d * splat8(scale));               \
        if (has_min) acc[r] = acc[r] + u.m * splat8(scale * (float)whole_sum(sums));                                   \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int r = 0; r < rows; r++) store8(out + (ptrdiff_t)r * out_stride, acc[r]);                             \
  }

#define DEFINE_SUPER_ROWS(name, bytes, has_min)                                                                        \
  INLINE void name##_rows(const uint8_t *p, int blocks, const uint8_t *x, int x_stride, const int rows, uint8_t *out,  \
                          int out_stride) {                                                                            \
    v8f acc[ROW_BATCH], t[ROW_BATCH], m[ROW_BATCH];                                                                    \
    q8_row row[ROW_BATCH];                                                                                             \
    UNROLL for (int r = 0; r < rows; r++) {                                                                            \
      acc[r] = splat8(0.0f);                                                                                           \
      row[r] = q8_row_at(x + (ptrdiff_t)r * x_stride, blocks);                                                         \
    }                                                                                                                  \
    for (int b = 0; b < blocks; b += 8, p += bytes) {                                                                  \
      unpacked u;                                                                                                      \
      UNROLL for (int r = 0; r < rows; r++) t[r] = m[r] = splat8(0.0f);                                                \
      for (int j = 0; j < 8; j++) {                                                                                    \
        name##_unpack(p, j, &u);                                                                                       \
        UNROLL for (int r = 0; r < rows; r++) {                                                                        \
          const float scale = row[r].scale[b + j];                                                                     \
          const int16_t *sums = row[r].sums + 2 * (b + j);                                                             \
          t[r] = t[r] + to_float8(name##_dot(&u, row[r].q + (b + j) * BLOCK, sums)) * splat8(scale);                   \
          if (has_min) m[r] = m[r] + name##_min(&u, scale, sums);                                                      \
        }                                                                                                              \
      }                                                                                                                \
      name##_head(p, &u);                                                                                              \
      UNROLL for (int r = 0; r < rows; r++) acc[r] = acc[r] + (has_min ? u.d * t[r] - u.m * m[r] : u.d * t[r]);        \
    }                                                                                                                  \
    UNROLL for (int r = 0; r < rows; r++) store8(out + (ptrdiff_t)r * out_stride, acc[r]);                             \
  }

// Row groups outside, so that the weights are read from memory once; rows in batches inside.
#define DEFINE_MATMUL_Q8(name, bytes, cols_of_block)                                                                   \
  static void matmul_##name(const uint8_t *w, int out_rows, int cols, const uint8_t *x, int x_stride, int rows,        \
                            uint8_t *out, int out_stride) {                                                            \
    const int blocks = cols / BLOCK;                                                                                   \
    const ptrdiff_t group = (ptrdiff_t)(cols / cols_of_block) * bytes;                                                 \
    for (int o = 0; o < out_rows; o += ROW_GROUP, w += group, out += ROW_GROUP * 4) {                                  \
      const uint8_t *in = x;                                                                                           \
      uint8_t *to = out;                                                                                               \
      int left = rows;                                                                                                 \
      for (; left >= ROW_BATCH; left -= ROW_BATCH) {                                                                   \
        name##_rows(w, blocks, in, x_stride, ROW_BATCH, to, out_stride);                                               \
        in += (ptrdiff_t)ROW_BATCH * x_stride;                                                                         \
        to += (ptrdiff_t)ROW_BATCH * out_stride;                                                                       \
      }                                                                                                                \
      if (left == 3) name##_rows(w, blocks, in, x_stride, 3, to, out_stride);                                          \
      else if (left == 2) name##_rows(w, blocks, in, x_stride, 2, to, out_stride);                                     \
      else if (left == 1) name##_rows(w, blocks, in, x_stride, 1, to, out_stride);                                     \
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

INLINE v8f load8_f32(const void *p) { return load8(p); }

// Eight accumulators by column mod 8; the tree adds them lane by lane, as each lane is a row.
#define DEFINE_MATMUL_FLOAT(name, bytes, load)                                                                         \
  static void matmul_##name(const uint8_t *w, int out_rows, int cols, const uint8_t *x, int x_stride, int rows,        \
                            uint8_t *out, int out_stride) {                                                            \
    for (int o = 0; o < out_rows; o += ROW_GROUP, w += (ptrdiff_t)cols * bytes, out += ROW_GROUP * 4) {                \
      for (int r = 0; r < rows; r++) {                                                                                 \
        const float *row = (const float *)(x + (ptrdiff_t)r * x_stride);                                               \
        v8f a[8];                                                                                                      \
        UNROLL for (int s = 0; s < 8; s++) a[s] = splat8(0.0f);                                                        \
        for (int c = 0; c < cols; c += 8) {                                                                            \
          UNROLL for (int s = 0; s < 8; s++) {                                                                         \
            a[s] = a[s] + load(w + (ptrdiff_t)(c + s) * bytes) * splat8(row[c + s]);                                   \
          }                                                                                                            \
        }                                                                                                              \
        store8(out + (ptrdiff_t)r * out_stride,                                                                        \
               ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7])));                                     \
      }                                                                                                                \
    }                                                                                                                  \
  }

DEFINE_MATMUL_FLOAT(f32, 32, load8_f32)
DEFINE_MATMUL_FLOAT(f16, 16, load8_f16)
DEFINE_MATMUL_FLOAT(bf16, 16, load8_bf16)
