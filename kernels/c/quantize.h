// A block of 32 activations to q8, by the contract of Kernels.quantize.
#pragma once
#include "kernels.h"
#include "simd.h"

// @returns the scale; `finite` loses the lanes in which a value is not
INLINE float quantize_block(const float *x, int8_t *q, int16_t *sums, v8i *finite) {
  const v8f magic = splat8(12582912.0f);
  v8f largest = splat8(0.0f);
  for (int i = 0; i < BLOCK; i += 8) {
    const v8f magnitude = abs8(load8(x + i));
    *finite &= (v8i)magnitude < splat8i(0x7f800000);
    // As bits, which order magnitudes alike: see exp8.
    largest = select8((v8i)magnitude > (v8i)largest, magnitude, largest);
  }
  const float amax = largest8(largest);
  sums[0] = sums[1] = 0;
  if (amax < 0x1p-100f) {
    memset(q, 0, BLOCK);
    return 0.0f;
  }
  const v8f inverse = splat8(127.0f / amax);
  for (int half = 0; half < 2; half++) {
    v8i sum = splat8i(0);
    for (int i = 16 * half; i < 16 * half + 16; i += 8) {
      const v8i rounded = (v8i)(load8(x + i) * inverse + magic) - (v8i)magic;
      sum += rounded;
      store8_bytes(q + i, rounded);
    }
    sums[half] = (int16_t)sum8(sum);
  }
  return amax / 127.0f;
}
