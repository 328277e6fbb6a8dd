import { roundUp } from './formats.ts';
import type { Address, BackendName } from './kernels.ts';

/** What a worker thread needs to open the same arena. Structured-cloneable. */
export type ArenaHandle =
  | { readonly backend: 'native' | 'reference'; readonly segments: readonly SharedArrayBuffer[] }
  | {
      readonly backend: 'wasm';
      readonly memory: WebAssembly.Memory;
      readonly module: WebAssembly.Module;
      /** Top of the C stack of the thread that opens the handle. */
      readonly stackTop: number;
    };

/** Memory shared by all threads of a process, in which tiles, KV pages and buffers live and kernels compute. */
export interface Arena {
  readonly backend: BackendName;
  /** Bytes allocated so far. */
  readonly allocated: number;
  /** @returns the address of `bytes` zeroed bytes, aligned to 64 (4096 from a page up). @throws out_of_memory */
  alloc(bytes: number): Address;
  /** A view of `length` bytes; valid for as long as the arena. */
  bytes(address: Address, length: number): Uint8Array;
  /** A handle for one more thread. Segments allocated later are not part of it. */
  handle(): ArenaHandle;
}

const SEGMENT_SPAN = 2 ** 32;

/** The address within its segment. */
export const offsetOf = (address: Address): number => address % SEGMENT_SPAN;
export const segmentOf = (address: Address): number => Math.floor(address / SEGMENT_SPAN);
export const addressOf = (segment: number, offset: number): Address => segment * SEGMENT_SPAN + offset;

/** Alignment of an allocation: cache lines, and pages for what is read from disk with direct I/O. */
export const alignmentFor = (bytes: number): number => (bytes >= 4096 ? 4096 : 64);

/** Typed views of arena memory; `count` elements each. */
export function f32View(arena: Arena, address: Address, count: number): Float32Array {
  const bytes = arena.bytes(address, count * 4);
  return new Float32Array(bytes.buffer, bytes.byteOffset, count);
}

export function f64View(arena: Arena, address: Address, count: number): Float64Array {
  const bytes = arena.bytes(address, count * 8);
  return new Float64Array(bytes.buffer, bytes.byteOffset, count);
}

export function u32View(arena: Arena, address: Address, count: number): Uint32Array {
  const bytes = arena.bytes(address, count * 4);
  return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
}

/** A view of arena memory from any thread that holds a handle. */
export function viewOf(handle: ArenaHandle, address: Address, length: number): Uint8Array {
  if (handle.backend === 'wasm') return new Uint8Array(handle.memory.buffer, address, length);
  const segment = handle.segments[segmentOf(address)];
  if (segment === undefined) throw new RangeError(`address ${address} is in no segment`);
  return new Uint8Array(segment, offsetOf(address), length);
}

const DEFAULT_SEGMENT = 64 * 2 ** 20;
const LARGEST_SEGMENT = 2 ** 32 - 2 ** 16;

/** As viewOf, of `count` u32. */
export function wordsOf(handle: ArenaHandle, address: Address, count: number): Uint32Array {
  const bytes = viewOf(handle, address, count * 4);
  return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
}

/** An arena of SharedArrayBuffer segments, for the native and the reference backend. */
export class SegmentArena implements Arena {
  readonly backend: 'native' | 'reference';
  readonly #segments: SharedArrayBuffer[] = [];
  readonly #segmentBytes: number;
  readonly #onSegment: (segment: SharedArrayBuffer) => void;
  #used = 0;
  #allocated = 0;

  /**
   * @param segmentBytes size of a segment; a larger allocation gets a segment of its own
   * @param onSegment sees each new segment before it is used
   */
  constructor(
    backend: 'native' | 'reference',
    segmentBytes = DEFAULT_SEGMENT,
    onSegment: (segment: SharedArrayBuffer) => void = () => {},
  ) {
    this.backend = backend;
    this.#segmentBytes = segmentBytes;
    this.#onSegment = onSegment;
  }

  get allocated(): number {
    return this.#allocated;
  }

  alloc(bytes: number): Address {
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > LARGEST_SEGMENT) {
      throw new RangeError(`cannot allocate ${bytes} bytes in one piece`);
    }
    const last = this.#segments.at(-1);
    const offset = roundUp(this.#used, alignmentFor(bytes));
    this.#allocated += bytes;
    if (last !== undefined && offset + bytes <= last.byteLength) {
      this.#used = offset + bytes;
      return addressOf(this.#segments.length - 1, offset);
    }
    const segment = new SharedArrayBuffer(Math.max(this.#segmentBytes, roundUp(bytes, 4096)));
    this.#onSegment(segment);
    this.#segments.push(segment);
    this.#used = bytes;
    return addressOf(this.#segments.length - 1, 0);
  }

  bytes(address: Address, length: number): Uint8Array {
    const segment = this.#segments[segmentOf(address)];
    if (segment === undefined) throw new RangeError(`address ${address} is in no segment`);
    return new Uint8Array(segment, offsetOf(address), length);
  }

  handle(): ArenaHandle {
    return { backend: this.backend, segments: [...this.#segments] };
  }
}
