import type { BackendName } from '../kernels/kernels.ts';
import type { Engine } from './engine/engine.ts';
import { StarlingError, toStarlingError } from './errors.ts';
import { loadEngine } from './load-engine.ts';
import type { Logger } from './log.ts';
import { answerFailure, PhaseServer } from './phase-server.ts';
import type { ProcessMemory } from './process-memory.ts';
import { type Control, errorMessage } from './protocol/control.ts';
import type { ControlLink } from './protocol/control-link.ts';
import type { DataLink } from './protocol/data-link.ts';
import { FRAME_TYPES, type Frame, type FrameHeader } from './protocol/frames.ts';
import { TILE_STATUS } from './protocol/tile-transfer.ts';
import { IncomingTiles } from './store/incoming-tiles.ts';
import { makeRoom } from './store/make-room.ts';
import type { TileStore } from './store/tile-store.ts';
import { type TileShape, tileLayout, tileName } from './tile/tile.ts';

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
 * One coordinator's use of this device: first tiles arrive (receiving), then they are read into memory (loading), then
 * phases are computed (ready). Ends with its control link.
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
  #data: DataLink | undefined;
  #phases: PhaseServer | undefined;
  #engine: Engine | undefined;
  #state: 'receiving' | 'loading' | 'ready' | 'closed' = 'receiving';

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
    const bytesOf = (tile: TileShape): number => tileLayout(tile).bytes;
    this.#endUse = store.use(load.modelId, load.modelName);
    await this.#endUse;
    const have = await Promise.all(load.tiles.map((tile) => store.has(load.modelId, tileName(tile), bytesOf(tile))));
    const missing = load.tiles.filter((_, i) => !have[i]);
    for (const removed of await makeRoom(store, load.modelId, missing.map(bytesOf))) {
      log.info({ model: removed.name ?? removed.modelId, bytes: removed.bytes }, 'removed a model to make room');
    }
    control.send({ t: 'missing', indices: have.flatMap((there, i) => (there ? [] : [i])) });
  }

  /** What a data link of this session proves itself with; null while it has one. */
  get secret(): Uint8Array | null {
    const taken = this.#data !== undefined && !this.#data.closed;
    return taken ? null : Buffer.from(this.#options.load.secret, 'hex');
  }

  /** Takes the session's data link, one at a time. */
  attach(link: DataLink): void {
    this.#data = link;
    link.onClose((reason) => {
      if (reason === null || this.#state === 'closed') return;
      // A coordinator that leaves closes both links, in any order; the control link tells of that.
      const level = reason.code === 'device_lost' ? 'debug' : 'warn';
      this.#options.log[level]({ code: reason.code }, reason.message);
    });
    link.onFrame((frame) => this.#frame(frame, link));
  }

  /** Reads the tiles into memory and starts the engine; a tile that proves damaged or missing is asked for again. */
  async start(): Promise<void> {
    if (this.#state !== 'receiving') throw new StarlingError('protocol_invalid_message', 'a session is started once');
    const { load, store, control, backend, threads, memory, log, readDelayMs } = this.#options;
    let told = 0;
    this.#state = 'loading';
    await this.#incoming.idle();
    const { engine, damaged } = await loadEngine({
      modelId: load.modelId,
      spec: load.engine,
      tiles: load.tiles,
      store,
      backend,
      threads,
      memory,
      log,
      signal: this.#abort.signal,
      repair: (tile, error) => this.#repair(tile, error),
      onLoaded: (done, total) => {
        if (performance.now() - told < PROGRESS_MS) return;
        told = performance.now();
        control.send({ t: 'progress', done, total });
      },
      ...(readDelayMs === undefined ? {} : { readDelayMs }),
    });
    if (this.#abort.signal.aborted) {
      await engine?.stop();
      return;
    }
    if (engine === null) {
      this.#state = 'receiving';
      // Readers that found more of them are gone with the engine.
      this.#wanted.clear();
      const places = damaged.map((tile) => this.#places.get(tileName(tile))!);
      control.send({ t: 'missing', indices: [...new Set([...places, ...this.#early.splice(0)])] });
      return;
    }
    this.#engine = engine;
    this.#phases = new PhaseServer(engine, log);
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

  #frame({ header, payload }: Frame, link: DataLink): void {
    switch (header.type) {
      case FRAME_TYPES.TILE:
        this.#tile(header, payload);
        return;
      case FRAME_TYPES.STEP:
      case FRAME_TYPES.INPUT:
        this.#phase({ header, payload }, link);
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

  #phase(frame: Frame, link: DataLink): void {
    if (this.#phases !== undefined && this.#state === 'ready') {
      this.#phases.take(frame, link);
      return;
    }
    const early = new StarlingError('protocol_invalid_message', 'the session is not ready to compute');
    if (frame.header.type === FRAME_TYPES.STEP) throw early;
    answerFailure(frame.header, early, link, this.#options.log);
  }
}
