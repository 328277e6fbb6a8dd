import { type Arena, f32View, f64View, u32View } from '../../kernels/arena.ts';
import { createArena, openKernels } from '../../kernels/create-kernels.ts';
import { type ActivationFormat, activationBytes, roundUp } from '../../kernels/formats.ts';
import type { Address, BackendName, Kernels } from '../../kernels/kernels.ts';
import { StarlingError } from '../errors.ts';
import { type EngineSpec, inputFormat, MAX_ROWS, PHASE, type Phase } from './engine-spec.ts';
import { type EngineLayout, packedBytes, placeEngine, tasksOf } from './layout.ts';
import { rowsOf, type Step } from './step.ts';
import { ThreadPool } from './thread-pool.ts';
import { type TileShape, tileLayout } from './tile.ts';

export interface EngineOptions {
  readonly spec: EngineSpec;
  readonly tiles: readonly TileShape[];
  readonly backend: BackendName;
  readonly threads: number;
  /** Fills `into` with a tile's bytes. */
  readonly load: (tile: TileShape, into: Uint8Array) => Promise<void>;
  readonly onLoaded?: (bytes: number, total: number) => void;
  /** Memory for the caller's own use with `kernels`. */
  readonly scratchBytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * Computes tiles × rows on this device: weights, KV caches and buffers in one arena, worked on by a pool of threads.
 * It knows positions and activations; no tokens, no text.
 */
export class Engine {
  readonly spec: EngineSpec;
  readonly kernels: Kernels;
  readonly arena: Arena;
  readonly layout: EngineLayout;
  readonly scratch: Address;
  readonly #pool: ThreadPool;

  private constructor(arena: Arena, kernels: Kernels, layout: EngineLayout, pool: ThreadPool, scratch: Address) {
    this.spec = layout.spec;
    this.arena = arena;
    this.kernels = kernels;
    this.layout = layout;
    this.#pool = pool;
    this.scratch = scratch;
  }

  /**
   * Places and loads all tiles and starts the threads.
   * @throws StarlingError out_of_memory when the arena cannot hold them; whatever `load` throws
   */
  static async create(options: EngineOptions): Promise<Engine> {
    const { spec, tiles, backend, threads, load, onLoaded, signal } = options;
    const arena = createArena(backend);
    const layout = placeOrExplain(arena, spec, tiles, threads);
    const placed = [...layout.tasks.flat(2), ...layout.headTasks];
    const total = placed.reduce((sum, tile) => sum + tileLayout(tile.shape.matrices).bytes, 0);
    let loaded = 0;
    for (const { shape, address } of placed) {
      signal?.throwIfAborted();
      const { bytes } = tileLayout(shape.matrices);
      await load(shape, arena.bytes(address, bytes));
      loaded += bytes;
      onLoaded?.(loaded, total);
    }
    const scratch = arena.alloc(options.scratchBytes ?? 0);
    const handle = arena.handle();
    const kernels = openKernels(handle);
    const pool = new ThreadPool(layout, kernels, handle);
    await pool.start(arena);
    return new Engine(arena, kernels, layout, pool, scratch);
  }

  /** Sets the rows that the following phases compute. */
  beginStep(step: Step): void {
    const rows = rowsOf(step);
    if (rows === 0 || rows > MAX_ROWS) throw new RangeError(`a step has 1 to ${MAX_ROWS} rows, not ${rows}`);
    const { arena, layout } = this;
    u32View(arena, layout.positions, rows).set(step.positions);
    const starts: number[] = [];
    let end = 0;
    for (const pages of step.pages) {
      u32View(arena, layout.pages + end * 4, pages.length).set(pages);
      starts.push(end);
      end += pages.length;
    }
    const tables = u32View(arena, layout.tables, rows);
    for (let row = 0; row < rows; row++) tables[row] = starts[step.sequences[row]!]!;
    f32View(arena, layout.rope, step.rope.length).set(step.rope);
  }

  /** Address of the phase's input rows in one activation format; see inputFormat for the one that a phase starts from. */
  input(format: ActivationFormat): Address {
    return format === 'q8' ? this.layout.inputQ8 : this.layout.inputF32;
  }

  /** Takes a phase's input rows as they came from the coordinator. */
  setInput(format: ActivationFormat, rows: Uint8Array): void {
    this.arena.bytes(this.input(format), rows.length).set(rows);
  }

  /** The phase's input rows, as they travel to other devices. */
  inputBytes(format: ActivationFormat, rows: number): Uint8Array {
    return this.arena.bytes(this.input(format), rows * activationBytes(format, this.spec.cols));
  }

  hasTasks(layer: number, phase: Phase): boolean {
    return tasksOf(this.layout, layer, phase).length > 0;
  }

  /**
   * Computes this device's tiles of a phase from the input rows; `sums` then holds their exact sums (zero when there are none).
   * @throws StarlingError numeric_overflow
   */
  async run(layer: number, phase: 0 | 1, rows: number): Promise<void> {
    if (inputFormat(this.spec, layer, phase) === 'f32') this.quantizeInput(rows);
    await this.#pool.run(layer, phase, rows);
    const count = rows * this.spec.cols;
    const [first, ...others] = this.hasTasks(layer, phase) ? this.#pool.threadsWithSums() : [];
    const sums = f64View(this.arena, this.layout.sums, count);
    if (first === undefined) sums.fill(0);
    else sums.set(f64View(this.arena, this.layout.threads[first]!.sums, count));
    for (const thread of others) this.kernels.addSums(this.layout.sums, this.layout.threads[thread]!.sums, count);
  }

  /** Fills the q8 input rows from the f32 ones. @throws StarlingError numeric_overflow */
  quantizeInput(rows: number): void {
    const { cols } = this.spec;
    const { inputF32, inputQ8 } = this.layout;
    if (!this.kernels.quantize(inputF32, cols * 4, cols, rows, inputQ8, activationBytes('q8', cols))) {
      throw new StarlingError(
        'numeric_overflow',
        'an activation is not finite: the model file is damaged or its weights are out of range',
      );
    }
  }

  /** The sums of the last `run`, packed for the wire; a view, valid until the next phase. */
  packedSums(rows: number): Uint8Array {
    const { sums, packed } = this.layout;
    return this.arena.bytes(packed, this.kernels.packSums(sums, rows * this.spec.cols, packed));
  }

  /** Adds another device's packed sums of the same rows. @returns false when the bytes are no packing of as many sums */
  addPackedSums(bytes: Uint8Array, rows: number): boolean {
    const { sums, packed } = this.layout;
    if (bytes.length > rows * packedBytes(this.spec.cols)) return false;
    this.arena.bytes(packed, bytes.length).set(bytes);
    return this.kernels.unpackSums(packed, bytes.length, rows * this.spec.cols, sums);
  }

  /** Logits of `rows` rows from the head's input rows (both formats filled): a view [rows][roundUp(vocabSize, 8)], valid until the next call. */
  async runHead(rows: number): Promise<Float32Array> {
    if (this.layout.logits === null) throw new RangeError('this engine has no head tiles');
    await this.#pool.run(0, PHASE.head, rows);
    return f32View(this.arena, this.layout.logits, rows * roundUp(this.spec.vocabSize, 8));
  }

  stop(): Promise<void> {
    return this.#pool.stop();
  }
}

function placeOrExplain(arena: Arena, spec: EngineSpec, tiles: readonly TileShape[], threads: number): EngineLayout {
  try {
    return placeEngine(spec, tiles, threads, arena);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new StarlingError(
      'out_of_memory',
      `the tiles and caches of this share do not fit in memory (${error.message}): use a smaller model, a shorter context, or more devices`,
      { cause: error },
    );
  }
}
