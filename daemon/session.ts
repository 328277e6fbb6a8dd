import { activationBytes } from '../kernels/formats.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { Engine, type EngineUsage } from './engine/engine.ts';
import { inputFormat, PHASE } from './engine/engine-spec.ts';
import { type TileShape, tileLayout, tileName } from './engine/tile.ts';
import { type ErrorCode, StarlingError, toStarlingError } from './errors.ts';
import type { Logger } from './log.ts';
import type { ProcessMemory } from './process-memory.ts';
import { type Control, errorMessage } from './protocol/control.ts';
import { FRAME_TYPES, type Frame, type FrameHeader, MAX_INPUTS } from './protocol/frames.ts';
import type { ControlLink, DataLink } from './protocol/link.ts';
import { decodeStep } from './protocol/step-codec.ts';
import { TILE_STATUS } from './protocol/tile-transfer.ts';
import { encodeUsage } from './protocol/usage-codec.ts';
import { IncomingTiles } from './store/incoming-tiles.ts';
import { makeRoom } from './store/make-room.ts';
import type { TileStore } from './store/tile-store.ts';
import { Turns } from './turns.ts';

/** Milliseconds between progress messages. */
const PROGRESS_MS = 200;

export interface SessionOptions {
  readonly load: Control<'load'>;
  readonly control: ControlLink;
  readonly store: TileStore;
  readonly backend: BackendName;
  readonly threads: number;
  readonly memory: ProcessMemory;
  readonly log: Logger;
  /** For tests: see EngineOptions. */
  readonly readDelayMs?: number;
}

/** Waits for a tile that is sent again while phases are computed. */
interface Wanted {
  readonly stored: () => void;
  readonly failed: (error: StarlingError) => void;
}

/**
 * One coordinator's use of this device: first tiles arrive (receiving), then they are read into memory (loading), then phases
 * are computed (ready). Ends with its control link.
 */
export class Session {
  readonly id: string;
  readonly modelName: string;
  readonly #options: SessionOptions;
  readonly #incoming: IncomingTiles;
  readonly #abort = new AbortController();
  readonly #places: ReadonlyMap<string, number>;
  readonly #wanted = new Map<number, Wanted>();
  #endUse: Promise<() => Promise<void>> | undefined;
  /** Tiles that were found damaged before the coordinator heard that the device is ready. */
  #early: number[] = [];
  #reported: EngineUsage = { computeMs: 0, diskMs: 0, bytesRead: 0 };
  #data: DataLink | undefined;
  #engine: Engine | undefined;
  #state: 'receiving' | 'loading' | 'ready' | 'closed' = 'receiving';
  #stepRows = 0;
  /** Phases that came and were not answered yet; they are computed one after the other. */
  #unanswered = 0;
  readonly #turns = new Turns();

  constructor(options: SessionOptions) {
    this.#options = options;
    this.id = options.load.session;
    this.modelName = options.load.modelName;
    this.#incoming = new IncomingTiles(options.store, options.load.modelId, options.load.tiles);
    this.#places = new Map(options.load.tiles.map((tile, i) => [tileName(tile), i]));
  }

  /** The link that began it, and with which it ends. */
  get control(): ControlLink {
    return this.#options.control;
  }

  get tiles(): number {
    return this.#options.load.tiles.length;
  }

  /** How the memory is divided; null unless phases are computed. */
  get memory(): Control<'ready'>['memory'] | null {
    if (this.#engine === undefined) return null;
    const { pinned, streamed } = this.#engine.tiles;
    return { ...this.#engine.memory, pinnedTiles: pinned, streamedTiles: streamed };
  }

  /** Makes room for the tiles that this device does not have, and tells the coordinator which these are. */
  async begin(): Promise<void> {
    const { load, store, control, log } = this.#options;
    const bytesOf = (tile: TileShape): number => tileLayout(tile.matrices).bytes;
    this.#endUse = store.use(load.modelId, load.modelName);
    await this.#endUse;
    const have = await Promise.all(load.tiles.map((tile) => store.has(load.modelId, tileName(tile), bytesOf(tile))));
    const missing = load.tiles.filter((_, i) => !have[i]);
    for (const removed of await makeRoom(store, load.modelId, missing.map(bytesOf))) {
      log.info({ model: removed.name ?? removed.modelId, bytes: removed.bytes }, 'removed a model to make room');
    }
    control.send({ t: 'missing', indices: have.flatMap((there, i) => (there ? [] : [i])) });
  }

  attach(link: DataLink): void {
    this.#data?.close();
    this.#data = link;
    link.onClose((reason) => {
      if (reason === null || this.#state === 'closed') return;
      // A coordinator that leaves closes both links, in any order; the control link tells of that.
      const level = reason.code === 'device_lost' ? 'debug' : 'warn';
      this.#options.log[level]({ code: reason.code }, reason.message);
    });
    link.onFrame((frame) => this.#frame(frame));
  }

  /** Reads the tiles into memory and starts the engine; a tile that proves damaged or missing is asked for again. */
  async start(): Promise<void> {
    if (this.#state !== 'receiving') throw new StarlingError('protocol_invalid_message', 'a session is started once');
    const { load, store, control, backend, threads, memory, log, readDelayMs } = this.#options;
    const damaged: number[] = [];
    let told = 0;
    this.#state = 'loading';
    await this.#incoming.idle();
    const engine = await Engine.create({
      spec: load.engine,
      tiles: load.tiles,
      backend,
      threads,
      memory: { budget: memory.budget(), base: await memory.base(), threadBytes: memory.threadBytes },
      signal: this.#abort.signal,
      load: async (tile, into) => {
        try {
          await store.read(load.modelId, tileName(tile), into);
        } catch (thrown) {
          const error = toStarlingError(thrown);
          if (error.code !== 'tile_damaged' && error.code !== 'tile_missing') throw error;
          log.warn({ tile: tileName(tile) }, error.message);
          damaged.push(this.#places.get(tileName(tile))!);
        }
      },
      fileOf: (tile) => store.path(load.modelId, tileName(tile)),
      repair: (tile, error) => this.#repair(tile, error),
      onLoaded: (done, total) => {
        if (performance.now() - told < PROGRESS_MS) return;
        told = performance.now();
        control.send({ t: 'progress', done, total });
      },
      ...(readDelayMs === undefined ? {} : { readDelayMs }),
    });
    if (this.#abort.signal.aborted || damaged.length > 0) {
      await engine.stop();
      if (this.#abort.signal.aborted) return;
      this.#state = 'receiving';
      // Readers that found more of them are gone with the engine.
      this.#wanted.clear();
      control.send({ t: 'missing', indices: [...new Set([...damaged, ...this.#early.splice(0)])] });
      return;
    }
    this.#engine = engine;
    this.#state = 'ready';
    control.send({ t: 'ready', memory: this.memory! });
    if (this.#early.length > 0) control.send({ t: 'missing', indices: this.#early.splice(0) });
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    this.#abort.abort();
    this.#data?.close();
    const gone = new StarlingError('cancelled', 'the session has ended');
    for (const { failed } of this.#wanted.values()) failed(gone);
    await this.#engine?.stop();
    this.#engine = undefined;
    const endUse = await this.#endUse?.catch(() => undefined);
    await endUse?.();
  }

  /** Has the coordinator send a tile again that was found damaged or missing while phases are computed. */
  async #repair(tile: TileShape, error: StarlingError): Promise<void> {
    const { load, store, control, log } = this.#options;
    log.warn({ tile: tileName(tile), code: error.code }, error.message);
    await store.discard(load.modelId, tileName(tile));
    const index = this.#places.get(tileName(tile))!;
    await new Promise<void>((stored, failed) => {
      this.#wanted.set(index, { stored, failed });
      if (this.#state === 'ready') control.send({ t: 'missing', indices: [index] });
      else this.#early.push(index);
    });
  }

  /** Closes the control link, and with it this session, because of an error. */
  #fail(error: StarlingError): void {
    this.#options.log.warn({ code: error.code }, error.message);
    this.#options.control.send(errorMessage(error, true));
    this.#options.control.close();
  }

  #frame({ header, payload }: Frame): void {
    switch (header.type) {
      case FRAME_TYPES.TILE:
        this.#tile(header, payload);
        return;
      case FRAME_TYPES.STEP:
        this.#step(header, payload);
        return;
      case FRAME_TYPES.INPUT:
        this.#input(header, payload).catch((error: unknown) => this.#failed(header, toStarlingError(error)));
        return;
      default:
        throw new StarlingError(
          'protocol_invalid_message',
          `a coordinator does not send frames of type ${header.type}`,
        );
    }
  }

  #tile(header: FrameHeader, payload: Uint8Array): void {
    if (this.#state !== 'receiving' && !(this.#state === 'ready' && this.#wanted.has(header.index)))
      throw new StarlingError('protocol_invalid_message', 'a tile came while none is awaited');
    const written = this.#incoming.accept(header.index, header.offset, payload);
    written
      ?.then((status) => {
        if (status === 'stored') {
          this.#wanted.get(header.index)?.stored();
          this.#wanted.delete(header.index);
        }
        this.#data?.send({ type: FRAME_TYPES.TILE_ACK, index: header.index, format: TILE_STATUS[status] });
      })
      .catch((error: unknown) => this.#fail(toStarlingError(error)));
  }

  #step(header: FrameHeader, payload: Uint8Array): void {
    const engine = this.#ready();
    if (this.#unanswered > 0)
      throw new StarlingError('protocol_invalid_message', 'a step came before the last phase was answered');
    engine.beginStep(decodeStep(payload, header.rows, engine.spec));
    this.#stepRows = header.rows;
  }

  async #input(header: FrameHeader, payload: Uint8Array): Promise<void> {
    const engine = this.#ready();
    if (this.#unanswered === MAX_INPUTS) {
      throw new StarlingError('protocol_invalid_message', `a phase came before one of ${MAX_INPUTS} was answered`);
    }
    const { step, layer, phase, index: first, rows: count } = header;
    if ((phase !== PHASE.attention && phase !== PHASE.ffn) || layer >= engine.spec.layers.length) {
      throw new StarlingError('protocol_invalid_message', `there is no phase ${phase} of layer ${layer}`);
    }
    const format = inputFormat(engine.spec, layer, phase);
    const expected = count * activationBytes(format, engine.spec.cols);
    if (count === 0 || first + count > this.#stepRows || payload.length !== expected) {
      throw new StarlingError(
        'protocol_invalid_message',
        `input of ${payload.length} bytes for ${count} rows from row ${first} on, which take ${expected}; the step has ${this.#stepRows} rows`,
      );
    }
    this.#unanswered++;
    try {
      await this.#turns.take(async () => {
        engine.setInput(format, first, payload);
        const sums = await engine.run(layer, phase, { first, count });
        const answer = { type: FRAME_TYPES.SUMS, step, layer, phase, index: first, rows: count };
        this.#data?.send(answer, encodeUsage(this.#usageSince(engine)), engine.packedSums(sums, count));
      });
    } finally {
      this.#unanswered--;
    }
  }

  /** What the engine has done since this was last asked. */
  #usageSince(engine: Engine): EngineUsage {
    const now = engine.usage;
    const before = this.#reported;
    this.#reported = now;
    return {
      computeMs: now.computeMs - before.computeMs,
      diskMs: now.diskMs - before.diskMs,
      bytesRead: now.bytesRead - before.bytesRead,
    };
  }

  /** The engine, when it may be given work. */
  #ready(): Engine {
    if (this.#engine === undefined || this.#state !== 'ready') {
      throw new StarlingError('protocol_invalid_message', 'the session is not ready to compute');
    }
    return this.#engine;
  }

  #failed({ step, layer, phase, index }: FrameHeader, error: StarlingError): void {
    if (this.#state === 'closed') return;
    this.#options.log.warn({ code: error.code, step, layer, phase }, error.message);
    const payload = Buffer.from(JSON.stringify({ code: error.code satisfies ErrorCode, message: error.message }));
    this.#data?.send({ type: FRAME_TYPES.FAILED, step, layer, phase, index }, payload);
  }
}
