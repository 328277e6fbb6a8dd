// Scores that approach a bound instead of passing it.
#pragma once
#include "simd.h"

// tanh of the contract.
INLINE v8f tanh8(v8f x) {
  const v8f t = exp8(abs8(x) * splat8(-2.0f)), one = splat8(1.0f);
  return (v8f)((v8i)((one - t) / (one + t)) | ((v8i)x & splat8i(INT32_MIN)));
}

// Scores, `groups` times eight of them, bounded by `cap`.
NOINLINE void cap_scores(float *scores, int groups, float cap) {
  const v8f inverse = splat8(1.0f / cap);
  for (int g = 0; g < groups; g++) {
    float *const at = scores + 8 * g;
    store8(at, splat8(cap) * tanh8(load8(at) * inverse));
  }
}
