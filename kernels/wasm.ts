import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { type Arena, type ArenaHandle, alignmentFor } from './arena.ts';
import { composeTiles } from './compose-tiles.ts';
import { ACTIVATION_FORMATS, ACTIVATION_FUNCTIONS, KV_FORMATS, roundUp, WEIGHT_FORMATS } from './formats.ts';
import type { Address, Kernels } from './kernels.ts';
import type { TileKernels } from './tile-work.ts';

const PAGE = 65536;
const MOST_PAGES = 65536;
const STACK_BYTES = 65536;

/** In order of preference; both built by scripts/build-wasm.mjs beside the compiled code. */
const MODULE_PATHS = ['./kernels-relaxed.wasm', './kernels.wasm'];

type Exports = Record<string, ((...args: number[]) => number) | undefined> & {
  readonly __stack_pointer: WebAssembly.Global;
  readonly __heap_base: WebAssembly.Global;
};

/** Compiles the best module that this engine takes, or null where none was built. */
export function compileWasm(): WebAssembly.Module | null {
  // Node 20 has relaxed SIMD behind this flag; later versions know the flag as on already.
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  for (const path of MODULE_PATHS) {
    const file = fileURLToPath(new URL(path, import.meta.url));
    if (!existsSync(file)) continue;
    const bytes = readFileSync(file);
    if (WebAssembly.validate(bytes)) return new WebAssembly.Module(bytes);
  }
  return null;
}

/** An arena in a WebAssembly memory: one segment of at most 4 GiB. */
export class WasmArena implements Arena {
  readonly backend = 'wasm';
  readonly #module: WebAssembly.Module;
  readonly #memory: WebAssembly.Memory;
  #used: number;
  #allocated = 0;

  constructor(module: WebAssembly.Module) {
    this.#module = module;
    this.#memory = new WebAssembly.Memory({ initial: 2, maximum: MOST_PAGES, shared: true });
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.#memory } });
    this.#used = (exports as Exports).__heap_base.value;
  }

  get allocated(): number {
    return this.#allocated;
  }

  alloc(bytes: number): Address {
    const address = roundUp(this.#used, alignmentFor(bytes));
    const end = address + bytes;
    const missing = Math.ceil(end / PAGE) - this.#memory.buffer.byteLength / PAGE;
    if (!Number.isSafeInteger(bytes) || bytes < 0 || end > MOST_PAGES * PAGE) {
      throw new RangeError(`cannot allocate ${bytes} bytes: a WebAssembly memory holds 4 GiB`);
    }
    if (missing > 0) this.#memory.grow(missing);
    this.#used = end;
    this.#allocated += bytes;
    return address;
  }

  bytes(address: Address, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, address, length);
  }

  handle(): ArenaHandle {
    const stackTop = this.alloc(STACK_BYTES) + STACK_BYTES;
    return { backend: 'wasm', memory: this.#memory, module: this.#module, stackTop };
  }
}

/** Instantiates the module over the arena's memory, on a stack of its own. */
export function createWasmKernels(handle: Extract<ArenaHandle, { backend: 'wasm' }>): Kernels {
  const instance = new WebAssembly.Instance(handle.module, { env: { memory: handle.memory } });
  const exports = instance.exports as Exports;
  exports.__stack_pointer.value = handle.stackTop;
  const kernel = (name: string): ((...args: number[]) => number) => {
    const found = exports[name];
    if (found === undefined) throw new Error(`the WebAssembly kernels have no ${name}`);
    return found;
  };
  const matmul = kernel('matmul');
  const matmulSums = kernel('matmul_sums');
  const packPanel = kernel('pack_panel');
  const gatherPanel = kernel('gather_panel');
  const quantizePanel = kernel('quantize_panel');
  const repack = kernel('repack');
  const kvStore = kernel('kv_store');
  const attend = kernel('attend');
  const glu = kernel('glu');
  const quantize = kernel('quantize');
  const unpackSums = kernel('unpack_sums');
  const kernels: Omit<Kernels, keyof TileKernels> = {
    backend: 'wasm',
    matmul: (format, ...rest) => void matmul(WEIGHT_FORMATS[format].id, ...rest),
    // No address is 0, which is NULL.
    matmulSums: (format, weights, outRows, cols, panel, rows, sums, sumStride, limit, fresh, list) =>
      matmulSums(
        WEIGHT_FORMATS[format].id,
        weights,
        outRows,
        cols,
        panel,
        rows,
        sums,
        sumStride,
        limit,
        Number(fresh),
        list ?? 0,
      ) !== 0,
    gatherPanel: (format, ...rest) => void gatherPanel(ACTIVATION_FORMATS[format].id, ...rest),
    packPanel: (format, ...rest) => void packPanel(ACTIVATION_FORMATS[format].id, ...rest),
    quantizePanel: (...args) => quantizePanel(...args) !== 0,
    repack: (format, ...rest) => repack(WEIGHT_FORMATS[format].id, ...rest) !== 0,
    kvStore: (format, ...rest) => void kvStore(KV_FORMATS[format].id, ...rest),
    attend: (format, ...rest) => void attend(KV_FORMATS[format].id, ...rest.map((value) => value ?? 0)),
    quantize: (...args) => quantize(...args) !== 0,
    unpackSums: (...args) => unpackSums(...args) !== 0,
    rmsnorm: kernel('rmsnorm'),
    rope: kernel('rope'),
    glu: (activation, ...rest) => void glu(ACTIVATION_FUNCTIONS[activation].id, ...rest),
    addScaled: kernel('add_scaled'),
    scaleRows: kernel('scale_rows'),
    applyNorm: kernel('apply_norm'),
    addSums: kernel('add_sums'),
    fromSums: kernel('from_sums'),
    residual: kernel('residual'),
    packSums: kernel('pack_sums'),
  };
  let words = new Uint32Array(handle.memory.buffer);
  const word = (address: Address): number => {
    // The memory may have grown.
    if (address / 4 >= words.length) words = new Uint32Array(handle.memory.buffer);
    return words[address / 4]!;
  };
  const clear = (address: Address, bytes: number): void => {
    new Uint8Array(handle.memory.buffer, address, bytes).fill(0);
  };
  return { ...kernels, ...composeTiles(kernels, word, clear) };
}
