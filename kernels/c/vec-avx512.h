// vec.h for registers of 512 bits: LANES is 16.
#pragma once

typedef __m512i vec;

INLINE vec vec_load(groups p) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)p.first)),
                            _mm256_loadu_si256((const __m256i *)p.second), 1);
}
INLINE vec vec_or(vec a, vec b) { return _mm512_or_si512(a, b); }
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  const vec moved = shift >= 0 ? _mm512_srli_epi16(v, (unsigned)shift) : _mm512_slli_epi16(v, (unsigned)-shift);
  return _mm512_and_si512(moved, _mm512_set1_epi8((char)mask));
}
INLINE vec vec_lookup(const int8_t *table, vec index) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), index);
}
INLINE __m128i load_bytes16(groups p) {
  return _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)p.first), _mm_loadl_epi64((const __m128i *)p.second));
}
INLINE vi widen_i8(groups p) { return (vi)_mm512_cvtepi8_epi32(load_bytes16(p)); }
INLINE vi widen_u8(groups p) { return (vi)_mm512_cvtepu8_epi32(load_bytes16(p)); }
INLINE vf load_scales(groups p) {
  return (vf)_mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p.first)),
                                                     _mm_loadu_si128((const __m128i *)p.second), 1));
}

#define DOT32 1
INLINE vi pair_products(vi a, vi b) { return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b); }
INLINE vec vec_flip(vec w) { return _mm512_xor_si512(w, _mm512_set1_epi8((char)0x80)); }
// GCC loads and broadcasts apart, which takes an instruction more of each product.
INLINE vi dot32(vi sum, vec u, const int8_t *a) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(u), "m"(*(const int8_t(*)[4])a));
  return sum;
}
#include "vec-vnni.h"
