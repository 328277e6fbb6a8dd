// Eight-lane vectors over the compiler's vector extension, and the few operations that need a target's own instructions.
// Every operation gives the same bits on every target: see kernels/kernels.ts for the numeric contract.
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__wasm__)
// No C library there: the compiler's own instructions.
#define memcpy __builtin_memcpy
#define memset __builtin_memset
#else
#include <string.h>
#endif

#define INLINE static inline __attribute__((always_inline))
// One function a format: engines compile very large WebAssembly functions with a poor register allocator.
#define NOINLINE static __attribute__((noinline))
// Loops over the parts of a block, whose shifts and addresses become constants.
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_ROWS UNROLL
#elif defined(__AVX2__) || defined(__ARM_NEON)
#define UNROLL _Pragma("GCC unroll 8")
#define UNROLL_ROWS _Pragma("GCC unroll 24")
#else
#define UNROLL
#define UNROLL_ROWS
#endif

typedef float v8f __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));
typedef uint32_t v8u __attribute__((vector_size(32)));
typedef uint16_t v8h __attribute__((vector_size(16)));
typedef int16_t v8s __attribute__((vector_size(16)));
typedef int8_t v8c __attribute__((vector_size(8)));
typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
typedef double v4d __attribute__((vector_size(32)));
typedef int64_t v4l __attribute__((vector_size(32)));

INLINE v8f load8(const void *p) { v8f v; memcpy(&v, p, 32); return v; }
INLINE void store8(void *p, v8f v) { memcpy(p, &v, 32); }
INLINE v4d load4d(const void *p) { v4d v; memcpy(&v, p, 32); return v; }
INLINE void store4d(void *p, v4d v) { memcpy(p, &v, 32); }
INLINE v8f splat8(float x) { return (v8f){x, x, x, x, x, x, x, x}; }
INLINE v8i splat8i(int32_t x) { return (v8i){x, x, x, x, x, x, x, x}; }
INLINE v8f select8(v8i mask, v8f yes, v8f no) { return (v8f)((mask & (v8i)yes) | (~mask & (v8i)no)); }
INLINE v8f abs8(v8f x) { return (v8f)((v8i)x & splat8i(0x7fffffff)); }
INLINE v8f to_float8(v8i x) { return __builtin_convertvector(x, v8f); }

// Through the target's own instructions: GCC takes the general conversions apart.
INLINE v4d to_double4(v4f x) {
#if defined(__AVX2__)
  return (v4d)_mm256_cvtps_pd((__m128)x);
#else
  return __builtin_convertvector(x, v4d);
#endif
}
INLINE v4f to_float4(v4d x) {
#if defined(__AVX2__)
  return (v4f)_mm256_cvtpd_ps((__m256d)x);
#else
  return __builtin_convertvector(x, v4f);
#endif
}
// Reductions whose order changes nothing: the largest of numbers, and sums of integers.
INLINE float largest8(v8f a) {
#if defined(__AVX2__)
  __m128 m = _mm_max_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
#else
  float largest = a[0];
  for (int i = 1; i < 8; i++) largest = a[i] > largest ? a[i] : largest;
  return largest;
#endif
}
INLINE int32_t sum8(v8i a) {
#if defined(__AVX2__)
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128((__m256i)a), _mm256_extracti128_si256((__m256i)a, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
#else
  int32_t sum = 0;
  for (int i = 0; i < 8; i++) sum += a[i];
  return sum;
#endif
}

// Eight integers that 16 bits hold, or 8. Through the target's own instructions, as GCC takes the general conversions apart.
#if defined(__AVX2__)
INLINE __m128i words8(v8i x) {
  return _mm_packs_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
}
#endif
INLINE void store8_words(void *p, v8i x) {
#if defined(__AVX2__)
  _mm_storeu_si128((__m128i *)p, words8(x));
#else
  const v8s words = __builtin_convertvector(x, v8s);
  memcpy(p, &words, 16);
#endif
}
INLINE void store8_bytes(void *p, v8i x) {
#if defined(__AVX2__)
  const __m128i words = words8(x);
  _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(words, words));
#else
  const v8c bytes = __builtin_convertvector(x, v8c);
  memcpy(p, &bytes, 8);
#endif
}

// tree(a) of the contract.
INLINE float tree8(v8f a) {
  return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

INLINE int all8(v8i mask) {
#if defined(__AVX2__)
  return _mm256_movemask_ps(_mm256_castsi256_ps((__m256i)mask)) == 0xff;
#else
  v4l m = (v4l)mask;
  return (m[0] & m[1] & m[2] & m[3]) == -1;
#endif
}

// f16 to f32, exact for every value.
INLINE v8f load8_f16(const void *p) {
#if defined(__F16C__)
  return (v8f)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#elif defined(__ARM_NEON) && defined(__aarch64__)
  const float16x8_t h = vreinterpretq_f16_u16(vld1q_u16((const uint16_t *)p));
  const float32x4_t halves[2] = {vcvt_f32_f16(vget_low_f16(h)), vcvt_f32_f16(vget_high_f16(h))};
  return load8(halves);
#else
  v8s h;
  memcpy(&h, p, 16);
  // Sign, exponent and mantissa at their places in an f32, whose bias is 112 larger; infinity and NaN have all exponent bits.
  const v8i wide = __builtin_convertvector(h, v8i) << 13;
  const v8f value = (v8f)(wide & splat8i((int32_t)0x8fffe000)) * splat8(0x1p112f);
  const v8i exponent = splat8i(0x0f800000);
  return (v8f)((v8i)value | ((v8i)((wide & exponent) == exponent) & splat8i(0x7f800000)));
#endif
}

INLINE v8f load8_bf16(const void *p) {
#if defined(__AVX2__)
  return (v8f)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16);
#else
  v8h h;
  memcpy(&h, p, 16);
  return (v8f)(__builtin_convertvector(h, v8u) << 16);
#endif
}

// f32 to f16, to nearest even, overflow to infinity.
INLINE uint16_t f16_of(float x) {
#if defined(__F16C__)
  return (uint16_t)_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT);
#else
  uint32_t bits;
  memcpy(&bits, &x, 4);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Below the least normal f16: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
    float value;
    memcpy(&value, &magnitude, 4);
    value += 0.5f;
    uint32_t rounded;
    memcpy(&rounded, &value, 4);
    return (uint16_t)(sign | (rounded - 0x3f000000u));
  }
  const uint32_t even = (magnitude >> 13) & 1u;
  return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + even) >> 13));
#endif
}

// exp of the contract: Cephes' polynomial, range reduced by magic-number rounding.
INLINE v8f exp8(v8f x) {
  const v8i zero = x < splat8(-87.0f);
  // Compared as bits: from a float comparison clang would make WebAssembly's relaxed minimum, which may lose a NaN.
  const v8i bits = (v8i)x;
  x = select8((bits > splat8i(0x42b00000)) & (bits <= splat8i(0x7f800000)), splat8(88.0f), x);
  const v8f magic = splat8(12582912.0f);
  const v8f shifted = x * splat8(1.44269504f) + magic;
  const v8i power = (v8i)shifted - (v8i)magic;
  const v8f n = shifted - magic;
  const v8f r = (x - n * splat8(0.693359375f)) - n * splat8(-2.12194440e-4f);
  v8f p = splat8(1.9875691500e-4f);
  p = p * r + splat8(1.3981999507e-3f);
  p = p * r + splat8(8.3334519073e-3f);
  p = p * r + splat8(4.1665795894e-2f);
  p = p * r + splat8(1.6666665459e-1f);
  p = p * r + splat8(5.0000001201e-1f);
  const v8f y = (p * (r * r) + r) + splat8(1.0f);
  const v8f scale = (v8f)((v8u)(power + 127) << 23);
  return select8(zero, splat8(0.0f), y * scale);
}
