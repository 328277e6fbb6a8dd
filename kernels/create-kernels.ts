import { type Arena, type ArenaHandle, SegmentArena } from './arena.ts';
import type { BackendName, Kernels } from './kernels.ts';
import { createNativeKernels, nativeTargets, useHugePages } from './native.ts';
import { createReferenceKernels } from './reference.ts';
import { compileWasm, createWasmKernels, WasmArena } from './wasm.ts';

/** Fastest first. */
export const BACKENDS: readonly BackendName[] = ['native', 'wasm', 'reference'];

export function backendAvailable(backend: BackendName): boolean {
  if (backend === 'native') return nativeTargets().length > 0;
  if (backend === 'wasm') return compileWasm() !== null;
  return true;
}

export function bestBackend(): BackendName {
  return BACKENDS.find(backendAvailable) ?? 'reference';
}

/**
 * An empty arena for a backend.
 * @param segmentBytes size of a segment where the backend has several
 * @throws Error when the backend is not available
 */
export function createArena(backend: BackendName, segmentBytes?: number): Arena {
  if (backend !== 'wasm')
    return new SegmentArena(backend, segmentBytes, backend === 'native' ? useHugePages : undefined);
  const module = compileWasm();
  if (module === null) throw new Error('the WebAssembly kernels are not built');
  return new WasmArena(module);
}

/** Opens the arena behind a handle for computing on the calling thread. */
export function openKernels(handle: ArenaHandle): Kernels {
  switch (handle.backend) {
    case 'native':
      return createNativeKernels(handle.segments);
    case 'reference':
      return createReferenceKernels(handle.segments);
    case 'wasm':
      return createWasmKernels(handle);
  }
}
