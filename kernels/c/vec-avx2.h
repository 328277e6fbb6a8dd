// vec.h for registers of 256 bits, with products of AVX-512 VNNI or without.
#pragma once

typedef __m256i vec;

INLINE vec vec_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vec vec_or(vec a, vec b) { return _mm256_or_si256(a, b); }
INLINE vec vec_bits(vec v, const int shift, const int mask) {
  const vec moved = shift >= 0 ? _mm256_srli_epi16(v, shift) : _mm256_slli_epi16(v, -shift);
  return _mm256_and_si256(moved, _mm256_set1_epi8((char)mask));
}
INLINE vec vec_lookup(const int8_t *table, vec index) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)), index);
}
INLINE vi widen_i8(const void *p) { return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
INLINE vi widen_u8(const void *p) { return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
INLINE vf load_scales(const void *p) { return load8_f16(p); }

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)

#define DOT32 1
INLINE vi pair_products(vi a, vi b) { return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
INLINE vec vec_flip(vec w) { return _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80)); }
INLINE vi dot32(vi sum, vec u, const int8_t *a) {
  __asm__("vpdpbusd %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(u), "m"(*(const int8_t(*)[4])a));
  return sum;
}
#include "vec-vnni.h"

#else

typedef __m256i pairs;
INLINE vec vec_quad(const int8_t *a, const int j) { return (vec)broadcast4(a + 4 * j); }
INLINE pairs pairs_dot(vec u, vec a) { return _mm256_maddubs_epi16(u, a); }
INLINE pairs pairs_add(pairs a, pairs b) { return _mm256_add_epi16(a, b); }
INLINE pairs pairs_times(pairs p, const int factor) {
  return factor == 1 ? p : _mm256_mullo_epi16(p, _mm256_set1_epi16((int16_t)factor));
}
INLINE vi pairs_scale(pairs p, vi scales) { return (vi)_mm256_madd_epi16(p, (__m256i)scales); }
// Each of eight bytes twice, at the byte `at` of 16 bits.
INLINE vec twice(const void *p, const int at) {
  int64_t eight;
  memcpy(&eight, p, 8);
  const int8_t none = -1;
#define TWO_OF(i) at ? none : i, at ? i : none, at ? none : i, at ? i : none
  const vec places = _mm256_setr_epi8(TWO_OF(0), TWO_OF(1), TWO_OF(2), TWO_OF(3), TWO_OF(4), TWO_OF(5), TWO_OF(6), TWO_OF(7));
#undef TWO_OF
  return _mm256_shuffle_epi8(_mm256_set1_epi64x(eight), places);
}
INLINE vi scales_u8(const void *p) { return (vi)twice(p, 0); }
INLINE vi scales_i8(const void *p) { return (vi)_mm256_srai_epi16(twice(p, 1), 8); }
INLINE vi mixed_scales(vi first, vi second) { return (vi)_mm256_blend_epi16((vec)first, (vec)second, 0xaa); }
// Of signed bytes: |w|·|a| ≤ 128·127, so one pair fits in 16 bits.
INLINE pairs pairs_dot_signed_quad(vec w, vec a) { return _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8(a, w)); }

#endif
