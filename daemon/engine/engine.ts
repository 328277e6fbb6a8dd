import { type Arena, f32View, f64View, u32View } from '../../kernels/arena.ts';
import { createArena, openKernels } from '../../kernels/create-kernels.ts';
import { type ActivationFormat, activationBytes } from '../../kernels/formats.ts';
import type { Address, BackendName, Kernels } from '../../kernels/kernels.ts';
import { StarlingError } from '../errors.ts';
import { inputFormats, type TileShape, tileLayout } from '../tile/tile.ts';
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
import {
  type EngineLayout,
  executionOrder,
  type PlacedTile,
  packedBytes,
  placeEngine,
  tasksOf,
  tilesOf,
} from './layout.ts';
import { type MemoryParts, planMemory } from './memory-plan.ts';
import { directStart } from './read-tile-file.ts';
import { READERS, ReaderPool } from './reader-pool.ts';
import { groupRoutes, networksOf, networksOfTiles, routeBytes, slotsOf } from './routes.ts';
import { type RowRange, rowsOf, type Step } from './step.ts';
import { ThreadPool } from './thread-pool.ts';
import type { EngineUsage } from './usage.ts';
import { PAGE, type WindowPlan } from './window-plan.ts';
import { createWindowShared, WindowWords } from './window-words.ts';

export interface EngineOptions {
  readonly spec: EngineSpec;
  readonly tiles: readonly TileShape[];
  readonly backend: BackendName;
  readonly threads: number;
  /** Bytes that the whole process may have resident, what it has resident without this engine, and what a thread adds. */
  readonly memory: { readonly budget: number; readonly base: number; readonly threadBytes: number };
  /** Fills `into` with a tile's bytes. */
  readonly load: (tile: TileShape, into: Uint8Array) => Promise<void>;
  /** The file of a tile: its content and then its SHA-256. */
  readonly fileOf: (tile: TileShape) => string;
  /** Brings a tile back that was found damaged or missing while it was streamed; resolves when its file is there again. */
  readonly repair: (tile: TileShape, error: StarlingError) => Promise<void>;
  readonly onLoaded?: (bytes: number, total: number) => void;
  /** Memory for the caller's own use with `kernels`. */
  readonly scratchBytes?: number;
  readonly signal?: AbortSignal;
  /** For tests: most milliseconds by which each read of a streamed tile is held up, at random. */
  readonly readDelayMs?: number;
}

/** Logits of some rows, for a part of the vocabulary. */
export interface Logits {
  /** [row][width] */
  readonly values: Float32Array;
  /** The part's first token. */
  readonly first: number;
  readonly width: number;
}

/** What a WebAssembly memory holds besides the stacks and globals of its threads. */
const WASM_BYTES = 2 ** 32 - 32 * 2 ** 20;

/** Segments are as large as what is placed, up to this: what is left over of one may lie in a huge page, and so be resident. */
const MOST_SEGMENT = 2 ** 30;

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
  /** How the tiles of each layer's phases take their input. */
  readonly #taken: readonly (readonly ReadonlySet<ActivationFormat>[])[];
  readonly #takenByHead: ReadonlySet<ActivationFormat>;
  /** See networksOfTiles. */
  readonly #networks: Uint16Array;
  /** By place: whether its tiles are read. */
  readonly #streamed: Uint8Array;
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
    const takenBy = (tiles: readonly PlacedTile[]) => new Set(tiles.flatMap(({ shape }) => inputFormats(shape)));
    this.#taken = parts.layout.tasks.map((phases) => phases.map(takenBy));
    this.#takenByHead = takenBy(parts.layout.headTasks);
    const tiles = tilesOf(parts.layout);
    this.#networks = networksOfTiles(
      this.spec,
      tiles.map(({ shape }) => shape),
    );
    this.#streamed = Uint8Array.from(tiles, ({ stream }) => (stream === null ? 0 : 1));
  }

  /**
   * Divides the memory, loads the tiles that stay in it, and starts the threads, which begin to read the others.
   * @throws StarlingError memory_too_small, out_of_memory when the arena cannot hold it all; whatever `load` throws
   */
  static async create(options: EngineOptions): Promise<Engine> {
    const { spec, backend, threads, load, onLoaded, signal, scratchBytes = 0 } = options;
    const tiles = executionOrder(spec, options.tiles);
    const arenaBytes = backend === 'wasm' ? WASM_BYTES : Number.POSITIVE_INFINITY;
    const { plan, parts: memory } = planMemory({ ...options.memory, spec, tiles, threads, scratchBytes, arenaBytes });
    const placed = memory.pinned + memory.window + memory.caches + memory.buffers;
    const arena = createArena(backend, Math.min(placed + PAGE, MOST_SEGMENT));
    const streamed = tiles.flatMap((tile, place) => (plan.stream[place] === null ? [] : [{ tile, place }]));
    const files = tiles.map(options.fileOf);
    const { layout, scratch, ring, direct } = orExplain(() => {
      const { ring, direct } = placeRing(
        arena,
        plan,
        streamed.map(({ place }) => files[place]!),
      );
      const shared =
        plan.streamed === 0
          ? null
          : createWindowShared(
              streamed.map(({ tile }) => tile.kind === 'expert'),
              tiles.length,
              plan.slots,
              READERS,
            );
      const layout = placeEngine(spec, tiles, threads, arena, { plan, ring, shared });
      return { layout, scratch: arena.alloc(scratchBytes), ring, direct };
    });
    const pinned = [...layout.tasks.flat(2), ...layout.headTasks].filter(({ stream }) => stream === null);
    const total = pinned.reduce((sum, tile) => sum + tileLayout(tile.shape).bytes, 0);
    let loaded = 0;
    for (const { shape, address } of pinned) {
      signal?.throwIfAborted();
      const { bytes } = tileLayout(shape);
      await load(shape, arena.bytes(address, bytes));
      loaded += bytes;
      onLoaded?.(loaded, total);
    }
    const handle = arena.handle();
    const kernels = openKernels(handle);
    const readers =
      layout.window === null
        ? null
        : new ReaderPool({
            handle: arena.handle(),
            shared: layout.window,
            window: new WindowWords(layout.window),
            tiles: tiles.map((tile, i) => ({ file: files[i]!, bytes: tileLayout(tile).bytes })),
            occupants: layout.occupants.tiles,
            places: streamed.map(({ place }) => place),
            ring,
            slotBytes: plan.slotBytes,
            direct,
            delayMs: options.readDelayMs ?? 0,
            repair: (tile, error) => options.repair(tiles[tile]!, error),
          });
    const pool = new ThreadPool(layout, kernels, handle, () => readers?.failure);
    await pool.start(arena);
    await readers?.start((reason) => pool.fail(reason));
    return new Engine({ arena, kernels, layout, pool, readers, scratch, memory });
  }

  get usage(): EngineUsage {
    return { computeMs: this.#computeMs, diskMs: this.#diskMs, bytesRead: this.#window?.bytesRead ?? 0 };
  }

  /** Tiles that are always in memory, and tiles that are read whenever they are computed. */
  get tiles(): { readonly pinned: number; readonly streamed: number } {
    const all = [...this.layout.tasks.flat(2), ...this.layout.headTasks];
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

  /** Address of a row of the phase's input in one activation format; see inputFormat for the one that a phase starts from. */
  input(format: ActivationFormat, row: number): Address {
    const rows = format === 'q8' ? this.layout.inputQ8 : this.layout.inputF32;
    return rows + row * activationBytes(format, this.spec.cols);
  }

  /** Takes input rows of a phase as they came from the coordinator: see `inputBytes`. */
  setInput(layer: number, phase: Phase, rows: RowRange, payload: Uint8Array): void {
    const format = inputFormat(this.spec, layer, phase);
    const bytes = rows.count * activationBytes(format, this.spec.cols);
    this.arena.bytes(this.input(format, rows.first), bytes).set(payload.subarray(0, bytes));
    const experts = expertsOf(this.spec, layer, phase);
    if (experts !== null) this.routes(experts, rows).set(payload.subarray(bytes));
    if (hasFactors(this.spec, layer, phase)) {
      const factors = Uint8Array.from(payload.subarray(bytes));
      this.setFactors(rows, new Float32Array(factors.buffer, factors.byteOffset, rows.count * 2));
    }
  }

  /** Input rows of a phase, as they travel to other devices: activations, and then of experts the routes of each row, of attention its factors. */
  inputBytes(layer: number, phase: Phase, rows: RowRange): Uint8Array {
    const format = inputFormat(this.spec, layer, phase);
    const bytes = rows.count * activationBytes(format, this.spec.cols);
    const activations = this.arena.bytes(this.input(format, rows.first), bytes);
    const experts = expertsOf(this.spec, layer, phase);
    if (hasFactors(this.spec, layer, phase)) return Buffer.concat([activations, ...this.#factors(rows)]);
    return experts === null ? activations : Buffer.concat([activations, this.routes(experts, rows)]);
  }

  /**
   * Computes this device's tiles of a phase from input rows of the step. One run at a time; what other runs of the step do with
   * other rows is theirs.
   * @returns f64 [row][cols]: the exact sums (zero where there are no tiles), valid until the next run with one of these rows
   * @throws StarlingError numeric_overflow; tile_damaged, tile_missing or store_failed when a tile cannot be had
   */
  async run(layer: number, phase: Phase, rows: RowRange): Promise<Address> {
    const begun = performance.now();
    const experts = expertsOf(this.spec, layer, phase);
    const listed = experts === null ? null : this.#listTasks(layer, phase, experts, rows);
    this.#packInput(this.#taken[layer]![phase]!, inputFormat(this.spec, layer, phase), rows);
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

  /** Takes what rows of queries and keys are normed by. @param factors f32 [rows] of queries, then as many of keys */
  setFactors({ first, count }: RowRange, factors: Float32Array): void {
    const { q, k } = this.layout.factors!;
    f32View(this.arena, q + first * 4, count).set(factors.subarray(0, count));
    f32View(this.arena, k + first * 4, count).set(factors.subarray(count));
  }

  /** See setFactors. */
  #factors({ first, count }: RowRange): Uint8Array[] {
    const { q, k } = this.layout.factors!;
    return [q, k].map((factors) => this.arena.bytes(factors + first * 4, count * 4));
  }

  /** Where it stands which networks rows of an experts' phase use: (network, weight) a slot, u32 and f32, little-endian. */
  routes(phase: ExpertsSpec, { first, count }: RowRange): Uint8Array {
    const bytes = routeBytes(phase);
    return this.arena.bytes(this.layout.routes!.given + first * bytes, count * bytes);
  }

  /** Lists the tiles that the rows use, those in memory first, as the others are read meanwhile. @returns their places */
  #listTasks(layer: number, phase: Phase, spec: ExpertsSpec, rows: RowRange): Uint32Array {
    const { arena, layout } = this;
    const { starts: at, rows: rowsAt, weights: weightsAt, tasks } = layout.routes!;
    const given = this.routes(spec, rows);
    const uses = rows.count * slotsOf(spec);
    const starts = u32View(arena, at, networksOf(spec) + 1);
    groupRoutes(new Uint32Array(given.buffer, given.byteOffset, given.length / 4), rows.count, spec, {
      starts,
      rows: u32View(arena, rowsAt, uses),
      weights: f32View(arena, weightsAt, uses),
    });
    const all = tasksOf(layout, layer, phase);
    const list = u32View(arena, tasks, all.length);
    const first = all[0]?.place ?? 0;
    let count = 0;
    const { tiles } = layout.occupants;
    const addUsed = (streamed: 0 | 1): void => {
      for (let place = first; place < first + all.length; place++) {
        const network = this.#networks[tiles[place]!]!;
        if (this.#streamed[place] === streamed && starts[network + 1]! > starts[network]!) list[count++] = place;
      }
    };
    addUsed(0);
    if (this.#window !== null) addUsed(1);
    return list.subarray(0, count);
  }

  /**
   * Arranges the input as the products of a phase take it.
   * @param given the format that the phase's input came in; q8 products take theirs from either
   * @throws StarlingError numeric_overflow
   */
  #packInput(taken: ReadonlySet<ActivationFormat>, given: ActivationFormat, { first, count }: RowRange): void {
    const { kernels, layout } = this;
    const { cols } = this.spec;
    const [f32Bytes, q8Bytes] = [activationBytes('f32', cols), activationBytes('q8', cols)];
    if (taken.has('f32')) {
      kernels.packPanel('f32', this.input('f32', first), f32Bytes, cols, count, layout.inputPanels.f32);
    }
    if (!taken.has('q8')) return;
    if (given === 'q8') kernels.packPanel('q8', this.input('q8', first), q8Bytes, cols, count, layout.inputPanels.q8);
    else if (!kernels.quantizePanel(this.input('f32', first), f32Bytes, cols, count, layout.inputPanels.q8)) {
      throw new StarlingError(
        'numeric_overflow',
        'an activation is not finite: the model file is damaged or its weights are out of range',
      );
    }
  }

  /** The sums of `rows` rows, packed for the wire; a view, valid until this is called again. */
  packedSums(sums: Address, rows: number): Uint8Array {
    const { packed } = this.layout;
    return this.arena.bytes(packed, this.kernels.packSums(sums, rows * this.spec.cols, packed));
  }

  /** Adds another device's packed sums of the same rows. @returns false when the bytes are no packing of as many sums */
  addPackedSums(sums: Address, bytes: Uint8Array, rows: number): boolean {
    const { packed } = this.layout;
    if (bytes.length > rows * packedBytes(this.spec.cols)) return false;
    this.arena.bytes(packed, bytes.length).set(bytes);
    return this.kernels.unpackSums(packed, bytes.length, rows * this.spec.cols, sums);
  }

  /**
   * Computes this device's head tiles from the first input rows.
   * @returns f32 [rows][width] of the vocabulary's rows from `first` on: a view, valid until the next call; no width without tiles
   * @throws StarlingError tile_damaged, tile_missing or store_failed when a tile cannot be had
   */
  async runHead(rows: number): Promise<Logits> {
    const { logits } = this.layout;
    if (logits === null) return { values: new Float32Array(0), first: 0, width: 0 };
    const begun = performance.now();
    const range = { first: 0, count: rows };
    this.#packInput(this.#takenByHead, inputFormat(this.spec, 0, HEAD), range);
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

interface EngineParts {
  readonly arena: Arena;
  readonly kernels: Kernels;
  readonly layout: EngineLayout;
  readonly pool: ThreadPool;
  readonly readers: ReaderPool | null;
  readonly scratch: Address;
  readonly memory: MemoryParts;
}

/** Gives the ring its place, at pages where that lets reads bypass the system's cache. */
function placeRing(arena: Arena, plan: WindowPlan, files: readonly string[]): { ring: Address; direct: boolean } {
  if (plan.streamed === 0) return { ring: 0, direct: false };
  const address = arena.alloc(plan.windowBytes);
  const start = directStart(files, arena.bytes(address, 2 * PAGE));
  return { ring: address + (start ?? 0), direct: start !== null };
}

/** @throws StarlingError out_of_memory where `place` asks for more than the arena can give */
function orExplain<T>(place: () => T): T {
  try {
    return place();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new StarlingError(
      'out_of_memory',
      `the tiles and caches of this share do not fit in memory (${error.message}): use a smaller --memory, a shorter context, or more devices`,
      { cause: error },
    );
  }
}
