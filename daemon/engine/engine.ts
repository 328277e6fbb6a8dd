import { type Arena, f32View, f64View, u32View } from '../../kernels/arena.ts';
import { type ActivationFormat, activationBytes } from '../../kernels/formats.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import { packedBytes } from './buffers.ts';
import { type EngineOptions, type EngineParts, startParts } from './engine-parts.ts';
import {
  type EngineSpec,
  type ExpertsSpec,
  expertsOf,
  HEAD,
  hasFactors,
  inputFormat,
  MAX_ROWS,
  type Phase,
} from './engine-spec.ts';
import { ExpertTasks } from './expert-tasks.ts';
import { InputPanels, inputRow } from './input-panels.ts';
import { type EngineLayout, tasksOf, tilesOf } from './layout.ts';
import type { MemoryParts } from './memory-plan.ts';
import type { ReaderPool } from './reader-pool.ts';
import { type RowRange, rowsOf, type Step } from './step.ts';
import type { ThreadPool } from './thread-pool.ts';
import type { EngineUsage } from './usage.ts';
import { WindowWords } from './window-words.ts';

/** Logits of some rows, for a part of the vocabulary. */
export interface Logits {
  /** [row][width] */
  readonly values: Float32Array;
  /** The part's first token. */
  readonly first: number;
  readonly width: number;
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
  /** How the budget is divided. */
  readonly memory: MemoryParts;
  readonly #pool: ThreadPool;
  readonly #readers: ReaderPool | null;
  readonly #window: WindowWords | null;
  readonly #panels: InputPanels;
  readonly #experts: ExpertTasks;
  #computeMs = 0;
  #diskMs = 0;

  private constructor(parts: EngineParts) {
    this.spec = parts.layout.spec;
    this.arena = parts.arena;
    this.kernels = parts.kernels;
    this.layout = parts.layout;
    this.scratch = parts.scratch;
    this.memory = parts.memory;
    this.#pool = parts.pool;
    this.#readers = parts.readers;
    this.#window = parts.layout.window === null ? null : new WindowWords(parts.layout.window);
    this.#panels = new InputPanels(parts.kernels, parts.layout);
    this.#experts = new ExpertTasks(parts.arena, parts.layout);
  }

  /**
   * Divides the memory, loads the tiles that stay in it, and starts the threads, which begin to read the others.
   * @throws StarlingError memory_too_small, out_of_memory when the arena cannot hold it all; whatever `load` throws
   */
  static async create(options: EngineOptions): Promise<Engine> {
    return new Engine(await startParts(options));
  }

  get usage(): EngineUsage {
    return { computeMs: this.#computeMs, diskMs: this.#diskMs, bytesRead: this.#window?.bytesRead ?? 0 };
  }

  /** Tiles that are always in memory, and tiles that are read whenever they are computed. */
  get tiles(): { readonly pinned: number; readonly streamed: number } {
    const all = tilesOf(this.layout);
    const streamed = all.filter(({ stream }) => stream !== null).length;
    return { pinned: all.length - streamed, streamed };
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
    let table = 0;
    for (const [i, width] of this.spec.ropes.entries()) {
      f32View(arena, layout.ropes[i]!, rows * width).set(step.rope.subarray(table, table + rows * width));
      table += rows * width;
    }
  }

  /**
   * Address of a row of the phase's input in one activation format; see inputFormat for the one that a phase starts
   * from.
   */
  input(format: ActivationFormat, row: number): Address {
    return inputRow(this.layout, format, row);
  }

  /** Takes input rows of a phase as they came from the coordinator: see `inputBytes`. */
  setInput(layer: number, phase: Phase, rows: RowRange, payload: Uint8Array): void {
    const format = inputFormat(this.spec, layer, phase);
    const bytes = rows.count * activationBytes(format, this.spec.cols);
    this.arena.bytes(this.input(format, rows.first), bytes).set(payload.subarray(0, bytes));
    const experts = expertsOf(this.spec, layer, phase);
    if (experts !== null) this.routes(experts, rows).set(payload.subarray(bytes));
    if (hasFactors(this.spec, layer, phase)) {
      const [q, k] = this.#factorBytes(rows);
      q.set(payload.subarray(bytes, bytes + q.length));
      k.set(payload.subarray(bytes + q.length));
    }
  }

  /**
   * Input rows of a phase, as they travel to other devices: activations, and then of experts the routes of each row, of
   * attention that is normed over all heads its factors (factors.ts).
   */
  inputBytes(layer: number, phase: Phase, rows: RowRange): Uint8Array {
    const format = inputFormat(this.spec, layer, phase);
    const bytes = rows.count * activationBytes(format, this.spec.cols);
    const activations = this.arena.bytes(this.input(format, rows.first), bytes);
    const experts = expertsOf(this.spec, layer, phase);
    if (hasFactors(this.spec, layer, phase)) return Buffer.concat([activations, ...this.#factorBytes(rows)]);
    return experts === null ? activations : Buffer.concat([activations, this.routes(experts, rows)]);
  }

  /**
   * Computes this device's tiles of a phase from input rows of the step. One run at a time; what other runs of the step
   * do with other rows is theirs.
   * @returns f64 [row][cols]: the exact sums (zero where there are no tiles), valid until the next run with one of
   * these rows
   * @throws StarlingError numeric_overflow; tile_damaged, tile_missing or store_failed when a tile cannot be had
   */
  async run(layer: number, phase: Phase, rows: RowRange): Promise<Address> {
    const begun = performance.now();
    const experts = expertsOf(this.spec, layer, phase);
    const listed = experts === null ? null : this.#experts.list(layer, phase, experts, rows);
    this.#panels.pack(layer, phase, rows);
    const waited = await this.#pool.run(layer, phase, rows, listed);
    const { cols } = this.spec;
    const count = rows.count * cols;
    const any = (listed ?? tasksOf(this.layout, layer, phase)).length > 0;
    // The sums stay where one thread left them: none uses these rows of its buffer before the next run that has them.
    let sums: Address | undefined;
    for (const [thread, buffers] of this.layout.threads.entries()) {
      if (!any || !this.#pool.hasSums(thread)) continue;
      const own = buffers.sums + rows.first * cols * 8;
      if (sums === undefined) sums = own;
      else this.kernels.addSums(sums, own, count);
    }
    if (sums === undefined) {
      sums = this.layout.threads[0]!.sums + rows.first * cols * 8;
      f64View(this.arena, sums, count).fill(0);
    }
    this.#count(begun, waited);
    return sums;
  }

  /** Where it stands what rows of queries and keys are normed by: f32 [rows] each. */
  factors({ first, count }: RowRange): { readonly q: Float32Array; readonly k: Float32Array } {
    const { q, k } = this.layout.factors!;
    return { q: f32View(this.arena, q + first * 4, count), k: f32View(this.arena, k + first * 4, count) };
  }

  #factorBytes({ first, count }: RowRange): [q: Uint8Array, k: Uint8Array] {
    const { q, k } = this.layout.factors!;
    return [this.arena.bytes(q + first * 4, count * 4), this.arena.bytes(k + first * 4, count * 4)];
  }

  /**
   * Where it stands which networks rows of an experts' phase use: (network, weight) a slot, u32 and f32, little-endian.
   */
  routes(phase: ExpertsSpec, rows: RowRange): Uint8Array {
    return this.#experts.routes(phase, rows);
  }

  /** The sums of `rows` rows, packed for the wire; a view, valid until this is called again. */
  packedSums(sums: Address, rows: number): Uint8Array {
    const { packed } = this.layout;
    return this.arena.bytes(packed, this.kernels.packSums(sums, rows * this.spec.cols, packed));
  }

  /**
   * Adds another device's packed sums of the same rows.
   * @returns false when the bytes are no packing of as many sums
   */
  addPackedSums(sums: Address, bytes: Uint8Array, rows: number): boolean {
    const { packed } = this.layout;
    if (bytes.length > rows * packedBytes(this.spec.cols)) return false;
    this.arena.bytes(packed, bytes.length).set(bytes);
    return this.kernels.unpackSums(packed, bytes.length, rows * this.spec.cols, sums);
  }

  /**
   * Computes this device's head tiles from the first input rows.
   * @returns f32 [rows][width] of the vocabulary's rows from `first` on: a view, valid until the next call; no width
   * without tiles
   * @throws StarlingError tile_damaged, tile_missing or store_failed when a tile cannot be had
   */
  async runHead(rows: number): Promise<Logits> {
    const { logits } = this.layout;
    if (logits === null) return { values: new Float32Array(0), first: 0, width: 0 };
    const begun = performance.now();
    const range = { first: 0, count: rows };
    this.#panels.pack(0, HEAD, range);
    this.#count(begun, await this.#pool.run(0, HEAD, range));
    const { address, first, width } = logits;
    return { values: f32View(this.arena, address, rows * width), first, width };
  }

  async stop(): Promise<void> {
    await Promise.all([this.#readers?.stop(), this.#pool.stop()]);
  }

  #count(begun: number, waitedMs: number): void {
    this.#diskMs += waitedMs;
    this.#computeMs += performance.now() - begun - waitedMs;
  }
}
