import { type Arena, u32View } from '../kernels/arena.ts';
import { KV_FORMAT_NAMES, KV_PAGE, type KvFormat, kvPageBytes } from '../kernels/formats.ts';
import type { Address, Kernels } from '../kernels/kernels.ts';
import type { KernelCase } from './bench-cases.ts';
import { randomFloats } from './random-weights.ts';

/** A conversation of some length, four query heads sharing a key/value head. */
const POSITIONS = 512;
const HEAD_DIM = 128;
const HEADS = 4;
const STRIDE = HEADS * HEAD_DIM * 4;
/** A row of decoding; and a chunk of prefill, which is bound by computing, so that fewer caches do. */
const DECODE_ROWS = 1;
const PREFILL_ROWS = 64;
const PREFILL_FEWER = 16;
const SEED = 2;

const cacheBytes = (format: KvFormat): number => kvPageBytes(format, HEAD_DIM) * (POSITIONS / KV_PAGE);

/** Key/value heads whose pages come to about `bytes`. */
const caches = (format: KvFormat, bytes: number): number => Math.max(1, Math.round(bytes / cacheBytes(format)));

/** Where a thread has its caches, and room for its output. */
export interface AttentionMemory {
  readonly stream: Address;
  readonly out: Address;
}

/** Attention over caches that come from memory, in each format. */
export class AttentionBench {
  readonly #arena: Arena;
  readonly #queries: Address;
  readonly #pageTable: Address;

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#queries = arena.alloc(PREFILL_ROWS * STRIDE);
    this.#pageTable = arena.alloc((POSITIONS / KV_PAGE) * 4);
    randomFloats(SEED, 0, 1)(arena.bytes(this.#queries, PREFILL_ROWS * STRIDE), 0);
    u32View(arena, this.#pageTable, POSITIONS / KV_PAGE).forEach((_, i, table) => {
      table[i] = i;
    });
  }

  /** Bytes of the caches of one thread. */
  static streamBytes(bytes: number): number {
    return Math.max(...KV_FORMAT_NAMES.map((format) => caches(format, bytes) * cacheBytes(format)));
  }

  /** @param bytes that a thread reads in one repetition of decoding, about */
  cases(kernels: Kernels, bytes: number, memory: (thread: number) => AttentionMemory): KernelCase[] {
    return KV_FORMAT_NAMES.flatMap((format) => {
      const count = caches(format, bytes);
      return [
        this.#case(kernels, format, DECODE_ROWS, count, memory),
        this.#case(kernels, format, PREFILL_ROWS, Math.ceil(count / PREFILL_FEWER), memory),
      ];
    });
  }

  /** The last of the rows sees all positions. */
  #case(
    kernels: Kernels,
    format: KvFormat,
    rows: number,
    count: number,
    memory: (thread: number) => AttentionMemory,
  ): KernelCase {
    const positions = POSITIONS - rows + 1;
    const seen = (rows * (positions + POSITIONS)) / 2;
    return {
      op: 'attend',
      format,
      rows,
      bytes: count * cacheBytes(format),
      flops: count * HEADS * seen * HEAD_DIM * 4,
      work: (thread) => {
        const { stream, out } = memory(thread);
        this.#fillCaches(kernels, format, stream, count);
        return {
          op: 'attend',
          format,
          caches: Array.from({ length: count }, (_, i) => stream + i * cacheBytes(format)),
          q: this.#queries,
          rows,
          heads: HEADS,
          headDim: HEAD_DIM,
          positions,
          pageTable: this.#pageTable,
          out,
        };
      },
    };
  }

  /** One cache of random keys and values, copied to every place. */
  #fillCaches(kernels: Kernels, format: KvFormat, stream: Address, count: number): void {
    const [bytes, pageBytes] = [cacheBytes(format), kvPageBytes(format, HEAD_DIM)];
    for (let position = 0; position < POSITIONS; position++) {
      const values = this.#queries + (position % PREFILL_ROWS) * STRIDE;
      const page = stream + Math.floor(position / KV_PAGE) * pageBytes;
      kernels.kvStore(format, values, values + HEAD_DIM * 4, HEAD_DIM, page, position % KV_PAGE);
    }
    const cache = this.#arena.bytes(stream, bytes);
    for (let i = 1; i < count; i++) this.#arena.bytes(stream + i * bytes, bytes).set(cache);
  }
}
