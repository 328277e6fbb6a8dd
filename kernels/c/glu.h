// Gated linear units, by the contract of Kernels.glu.
#pragma once
#include "kernels.h"
#include "simd.h"

INLINE v8f silu8(v8f g) { return g / (splat8(1.0f) + exp8(-g)); }

INLINE v8f gelu8(v8f g) {
  // From there on down it is as good as zero. Compared as bits: see exp8.
  const v8i bits = (v8i)g, least = (v8i)splat8(-10.0f);
  g = select8((bits > least) & (bits <= splat8i((int32_t)0xff800000)), (v8f)least, g);
  const v8f w = g * (splat8(1.0f) + splat8(0.044715f) * (g * g));
  return g / (splat8(1.0f) + exp8(-(splat8(1.5957691f) * w)));
}

// Magnitudes above 7, as 7; NaN stays.
INLINE v8i beyond7(v8f x) {
  const v8i magnitude = (v8i)abs8(x);
  return (magnitude > (v8i)splat8(7.0f)) & (magnitude <= splat8i(0x7f800000));
}

INLINE v8f clamped8(v8f g, v8f u) {
  const v8i sign = splat8i(INT32_MIN), bits = (v8i)g;
  g = select8(beyond7(g) & (bits >= splat8i(0)), splat8(7.0f), g);
  u = select8(beyond7(u), (v8f)(((v8i)u & sign) | (v8i)splat8(7.0f)), u);
  return (g / (splat8(1.0f) + exp8(-(splat8(1.702f) * g)))) * (u + splat8(1.0f));
}

INLINE void glu_rows(const int activation, float *gate, const float *up, int n) {
  for (int i = 0; i < n; i += 8) {
    const v8f g = load8(gate + i), u = load8(up + i);
    switch (activation) {
      case SILU: store8(gate + i, silu8(g) * u); break;
      case GELU: store8(gate + i, gelu8(g) * u); break;
      default: store8(gate + i, clamped8(g, u));
    }
  }
}
