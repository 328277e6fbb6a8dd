// The operations with which a block's weights are unpacked and multiplied. One file a target (vec-*.h); the rest of the kernels
// is the same source everywhere.
//
// A vector holds LANES rows: all 8 of a block, or 4 where registers are of 128 bits; the block is then computed as two halves,
// each of which fits the registers. With LANES 16 (matmul-wide.c, for registers of 512 bits) it holds the same block of two
// neighbouring row groups. A quad is four columns of those rows, a byte each.
//
// Every target has vec_load, vec_or, vec_lookup, widen_*, load_scales (f16 that are finite: repack refuses others) and
// vec_bits(v, shift, mask): (v >> shift) & mask in each byte, where a negative shift is to the left and the mask leaves no bit of a
// neighbour. Products are of two kinds:
// - DOT32: quads_dot and signed_dot add those of several quads to sums of 32 bits, a row a lane.
// - Others add pairs of products in 16 bits first (`pairs`, in each lane of a row two), as often as fits; then pairs_scale
//   multiplies either sum by its scale and adds both up in 32 bits. scales_u8 and scales_i8 read a scale a row, twice;
//   mixed_scales puts one of `first` before one of `second`.
#pragma once
#include "simd.h"

#if !defined(LANES)
#if defined(__AVX2__) || defined(__wasm_simd128__)
#define LANES 8
#else
#define LANES 4
#endif
#endif
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

// Output rows of a vector or of the halves that make a row group.
#define VECTOR_ROWS (LANES == 16 ? 16 : 8)
// Parts of a block, each for LANES rows, and where the second begins in parts with 4 bytes, 2 bytes and 1 byte a row.
#define HALVES (LANES < 8 ? 2 : 1)
#define IN_WORDS(half) (16 * (half))
#define IN_HALVES(half) (8 * (half))
#define IN_BYTES(half) (4 * (half))

// Where the rows of a vector are read: in one row group, or at the same place of two.
#if LANES == 16
typedef struct {
  const uint8_t *first, *second;
} groups;
INLINE groups groups_at(const uint8_t *w, ptrdiff_t group) { return (groups){w, w + group}; }
INLINE groups part(groups p, ptrdiff_t offset) { return (groups){p.first + offset, p.second + offset}; }
#else
typedef const uint8_t *groups;
INLINE groups groups_at(const uint8_t *w, ptrdiff_t group) {
  (void)group;
  return w;
}
INLINE groups part(groups p, ptrdiff_t offset) { return p + offset; }
#endif

INLINE vf splatf(float x) { return x - (vf){0}; }
INLINE vi splati(int32_t x) { return x - (vi){0}; }
// Four bytes, once for every row.
INLINE vi broadcast4(const void *p) {
  int32_t four;
  memcpy(&four, p, 4);
  return splati(four);
}
INLINE vf to_float(vi x) { return __builtin_convertvector(x, vf); }

#if LANES == 16
#include "vec-avx512.h"
#elif defined(__AVX2__)
#include "vec-avx2.h"
#elif defined(__wasm_simd128__)
#include "vec-wasm.h"
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include "vec-neon.h"
#else
#include "vec-portable.h"
#endif

#if defined(DOT32)
INLINE vi scales_u8(groups p) { return widen_u8(p); }
INLINE vi scales_i8(groups p) { return widen_i8(p); }
INLINE vi mixed_scales(vi first, vi second) { return (first & splati(0xffff)) | (second << 16); }
#endif
