// Heads of queries and keys between their product and their rotation.
#pragma once
#include <stddef.h>

// Adds a bias to the heads of a row, and norms each of them, or all together by a factor; each may be NULL.
INLINE void ready_heads(float *x, int heads, int head_dim, const float *bias, const float *norm, const float *factor,
                        float eps) {
  if (bias != NULL) add_scaled(x, bias, 1.0f, heads * head_dim);
  if (factor != NULL) apply_norm(x, norm, factor, heads * head_dim);
  else if (norm != NULL) {
    uint8_t *const bytes = (uint8_t *)x;
    rmsnorm(bytes, head_dim * 4, norm, head_dim, head_dim, heads, eps, bytes, head_dim * 4);
  }
}
