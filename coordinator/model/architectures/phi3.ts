import { readDense } from './alike-layers.ts';
import type { Architecture } from './architecture.ts';

/** Phi 3, 3.5 and 4: fused tensors, and rotations of short and of long texts. */
export const phi3: Architecture = {
  // llama.cpp computes no window for it either.
  keys: { 'attention.sliding_window': 'aside' },
  read: (source) => readDense(source, { halved: true }, { fusedGate: true }),
};
