// Asking memory for weights before they are needed.
#pragma once
#include "vec.h"

// Asks for `bytes` from each place of p on. WebAssembly cannot ask.
INLINE void ask_for(groups p, const int bytes) {
#if defined(__wasm__)
  (void)p;
  (void)bytes;
#else
  UNROLL for (int i = 0; i < bytes; i += 64) {
#if LANES == 16
    __builtin_prefetch(p.first + i);
    __builtin_prefetch(p.second + i);
#else
    __builtin_prefetch(p + i);
#endif
  }
#endif
}

// Bytes that weights are asked of memory before they are needed. Two groups are two streams that jump from group to group, which
// the processor does not foresee; where a block takes many instructions, it does not look ahead as far as memory needs. With
// products of AVX-512 it does, and asking loses more than it gains.
#if LANES == 16
#define AHEAD 1024
#elif (defined(__AVX2__) && !defined(DOT32)) || defined(__ARM_NEON)
#define AHEAD 1536
#else
#define AHEAD 0
#endif
INLINE void prefetch(groups p, const int bytes) {
  if (AHEAD > 0) ask_for(p, bytes);
}
