import { randomBytes } from 'node:crypto';
import type { ClusterKey } from '../../daemon/cluster-key.ts';
import type { EngineSpec } from '../../daemon/engine/engine-spec.ts';
import { PHASE } from '../../daemon/engine/engine-spec.ts';
import { type TileShape, tileName } from '../../daemon/engine/tile.ts';
import { ERRORS, type ErrorCode, StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Identity } from '../../daemon/identity.ts';
import { type Control, PROTOCOL_VERSION } from '../../daemon/protocol/control.ts';
import { FRAME_TYPES, type Frame } from '../../daemon/protocol/frames.ts';
import type { ControlLink, DataLink } from '../../daemon/protocol/link.ts';
import { dialControl, dialData } from '../../daemon/protocol/link-client.ts';
import { TILE_CHUNK, TILE_STATUS } from '../../daemon/protocol/tile-transfer.ts';
import { decodeUsage, USAGE_BYTES } from '../../daemon/protocol/usage-codec.ts';
import type { PhaseAnswer, PhaseOfStep, Rank } from './rank.ts';
import { rankFailure } from './rank-failure.ts';

export interface DialRankOptions {
  readonly host: string;
  readonly port: number;
  readonly key: ClusterKey;
  readonly identity: Identity;
  readonly signal?: AbortSignal;
}

/** For connecting and for a device's answer to a greeting. */
const DIAL_MS = 5000;
/** For a device to look up which tiles it has. */
const LOOKUP_MS = 60_000;
/** A tile that arrives damaged this often points to a broken device. */
const MOST_SENDS = 3;

interface Waiting {
  readonly phase: PhaseOfStep;
  readonly resolve: (answer: PhaseAnswer) => void;
  readonly reject: (error: StarlingError) => void;
}

/** A device reached over the network: its links, the tiles it is given, and its part in the star. */
export class RemoteRank implements Rank {
  readonly welcome: Control<'welcome'>;
  readonly #control: ControlLink;
  readonly #dial: DialRankOptions;
  readonly #phases = new Set<string>();
  readonly #places = new Map<string, number>();
  readonly #acks = new Map<number, (status: number) => void>();
  readonly #lostListeners: ((error: StarlingError) => void)[] = [];
  #tiles: readonly TileShape[] = [];
  #onMissing: ((tiles: readonly TileShape[]) => void) | undefined;
  #memory: Control<'ready'>['memory'] | undefined;
  #data: DataLink | undefined;
  /** Settles when the tiles so far are on their way. */
  #sending: Promise<void> = Promise.resolve();
  readonly #waiting: Waiting[] = [];
  #lost: StarlingError | undefined;

  private constructor(control: ControlLink, welcome: Control<'welcome'>, dial: DialRankOptions) {
    this.#control = control;
    this.#dial = dial;
    this.welcome = welcome;
    control.onClose((reason) => this.#lose(reason ?? new StarlingError('device_lost', `${this.name} was let go`)));
    control.onMessage((message) => {
      if (message.t === 'missing') this.#onMissing?.(pick(this.#tiles, message.indices));
      if (message.t !== 'error') return;
      const code: ErrorCode = Object.hasOwn(ERRORS, message.code) ? (message.code as ErrorCode) : 'device_error';
      this.#lose(new StarlingError(code, `${this.name}: ${message.message}`));
    });
  }

  /** @throws StarlingError device_unreachable, key_mismatch, protocol_version */
  static async dial(options: DialRankOptions): Promise<RemoteRank> {
    const control = await dialControl({ ...options, timeoutMs: DIAL_MS });
    try {
      const { id, name } = options.identity;
      control.send({ t: 'hello', protocol: PROTOCOL_VERSION, id, name, purpose: 'serve' });
      const welcome = await control.next(['welcome'], DIAL_MS, options.signal);
      return new RemoteRank(control, welcome, options);
    } catch (error) {
      control.close();
      throw error;
    }
  }

  get id(): string {
    return this.welcome.id;
  }

  get name(): string {
    return this.welcome.name;
  }

  get address(): string {
    return this.#control.remote;
  }

  /** How the device has divided its memory; undefined before it is ready. */
  get memory(): Control<'ready'>['memory'] | undefined {
    return this.#memory;
  }

  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** Why the device is lost, once it is. */
  get lostBecause(): StarlingError | undefined {
    return this.#lost;
  }

  /** Hears of tiles that the device finds damaged or missing while it computes; they are to be pushed. */
  onMissing(listener: (tiles: readonly TileShape[]) => void): void {
    this.#onMissing = listener;
  }

  /** Gives the device up: what waits for it fails with this error. */
  giveUp(error: StarlingError): void {
    this.#lose(error);
  }

  /** Hears once when the device is lost, and why. */
  onLost(listener: (error: StarlingError) => void): void {
    if (this.#lost !== undefined) listener(this.#lost);
    else this.#lostListeners.push(listener);
  }

  /**
   * Gives the device its plan and opens the data link.
   * @returns the tiles that it does not have
   * @throws StarlingError device_busy, device_lost, out_of_memory
   */
  async load(
    model: { id: string; name: string },
    engine: EngineSpec,
    tiles: readonly TileShape[],
  ): Promise<TileShape[]> {
    const session = randomBytes(12).toString('hex');
    this.#tiles = tiles;
    for (const [place, tile] of tiles.entries()) this.#places.set(tileName(tile), place);
    for (const { layer, kind } of tiles) {
      if (kind !== 'kv') this.#phases.add(`${layer}/${kind === 'ffn' ? PHASE.ffn : PHASE.attention}`);
    }
    this.#control.send({ t: 'load', session, modelId: model.id, modelName: model.name, engine, tiles: [...tiles] });
    try {
      const missing = await this.#control.next(['missing'], LOOKUP_MS, this.#dial.signal);
      const data = await dialData({ ...this.#dial, timeoutMs: DIAL_MS, session });
      this.#data = data;
      data.onClose((reason) => {
        // Not the link of a session that was ended by `unload`.
        if (this.#data === data)
          this.#lose(reason ?? new StarlingError('device_lost', `${this.name} closed its data link`));
      });
      data.onFrame((frame) => this.#frame(frame));
      return pick(tiles, missing.indices);
    } catch (error) {
      this.#lose(toStarlingError(error));
      throw error;
    }
  }

  /** Takes the plan back; the device can then be given another. No tile may be under way. */
  unload(): void {
    this.#control.send({ t: 'unload' });
    const data = this.#data;
    this.#data = undefined;
    data?.close();
    this.#places.clear();
    this.#phases.clear();
  }

  /**
   * Sends one tile; the sender sees to it that no more than TILE_WINDOW bytes are under way.
   * @param content stays as it is until this settles
   * @param sha256 of the content
   * @returns when it is stored
   * @throws StarlingError device_lost; disk_full or store_failed from the device; tile_damaged when it keeps arriving damaged
   */
  async push(tile: TileShape, content: Uint8Array, sha256: Uint8Array): Promise<void> {
    const index = this.#places.get(tileName(tile))!;
    for (let attempt = 1; attempt <= MOST_SENDS; attempt++) {
      if ((await this.#send(index, content, sha256)) === TILE_STATUS.stored) return;
    }
    throw new StarlingError(
      'tile_damaged',
      `${tileName(tile)} arrived damaged at ${this.name} ${MOST_SENDS} times; check its network and memory`,
    );
  }

  /**
   * Has the device read its tiles into memory.
   * @returns tiles that it found damaged (then to be pushed and started again); none when it is ready
   */
  async start(tiles: readonly TileShape[], onProgress: (done: number, total: number) => void): Promise<TileShape[]> {
    this.#control.send({ t: 'start' });
    for (;;) {
      const message = await this.#control.next(['ready', 'missing', 'progress'], LOOKUP_MS, this.#dial.signal);
      if (message.t === 'ready') {
        this.#memory = message.memory;
        return [];
      }
      if (message.t === 'missing') return pick(tiles, message.indices);
      onProgress(message.done, message.total);
    }
  }

  hasTiles(layer: number, phase: 0 | 1): boolean {
    return this.#phases.has(`${layer}/${phase}`);
  }

  beginStep(step: Uint8Array, number: number, rows: number): void {
    this.#data?.send({ type: FRAME_TYPES.STEP, step: number, rows }, step);
  }

  compute(phase: PhaseOfStep, input: Uint8Array): Promise<PhaseAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) return reject(this.#lost);
      this.#waiting.push({ phase, resolve, reject });
      const { rows, ...fields } = phase;
      this.#data?.send({ type: FRAME_TYPES.INPUT, ...fields, index: rows.first, rows: rows.count }, input);
    });
  }

  close(): void {
    this.#control.close();
    this.#data?.close();
  }

  /** Sends a tile, after those before it. @returns the device's answer */
  #send(index: number, content: Uint8Array, sha256: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      const send = async (): Promise<void> => {
        const data = this.#data;
        if (this.#lost !== undefined || data === undefined) {
          throw this.#lost ?? new StarlingError('device_lost', `${this.name} has no data link`);
        }
        this.#acks.set(index, (status) => {
          this.#acks.delete(index);
          if (this.#lost !== undefined) reject(this.#lost);
          else resolve(status);
        });
        for (let offset = 0; offset < content.length && !data.closed; offset += TILE_CHUNK) {
          const chunk = content.subarray(offset, offset + TILE_CHUNK);
          const payloads = offset === 0 ? [sha256, chunk] : [chunk];
          data.send({ type: FRAME_TYPES.TILE, index, offset }, ...payloads);
          // A piece is copied when it is sent: not before the last one is on its way. That the link closed, #lose tells.
          await data.drained(TILE_CHUNK).catch(() => {});
        }
      };
      this.#sending = this.#sending.then(send).catch(reject);
    });
  }

  #frame({ header, payload }: Frame): void {
    if (header.type === FRAME_TYPES.TILE_ACK) {
      this.#acks.get(header.index)?.(header.format);
      return;
    }
    const { step, layer, phase, index } = header;
    const place = this.#waiting.findIndex(
      ({ phase: of }) => of.step === step && of.layer === layer && of.phase === phase && of.rows.first === index,
    );
    const [waiting] = place < 0 ? [] : this.#waiting.splice(place, 1);
    // An answer to a step that was given up.
    if (waiting === undefined) return;
    if (header.type === FRAME_TYPES.SUMS && header.rows === waiting.phase.rows.count) {
      try {
        waiting.resolve({ packed: payload.subarray(USAGE_BYTES), usage: decodeUsage(payload) });
      } catch (error) {
        waiting.reject(toStarlingError(error));
      }
    } else waiting.reject(rankFailure(this.name, header.type, payload));
  }

  #lose(error: StarlingError): void {
    if (this.#lost !== undefined) return;
    this.#lost =
      error.code === 'device_lost'
        ? new StarlingError('device_lost', `device ${this.name} is lost (${error.message}); start it and serve again`, {
            cause: error,
          })
        : error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#lost);
    for (const ack of [...this.#acks.values()]) ack(TILE_STATUS.damaged);
    this.close();
    for (const listener of this.#lostListeners.splice(0)) listener(this.#lost);
  }
}

/** @throws StarlingError protocol_invalid_message when a place is not one of the list */
function pick(tiles: readonly TileShape[], indices: readonly number[]): TileShape[] {
  return indices.map((index) => {
    const tile = tiles[index];
    if (tile === undefined)
      throw new StarlingError('protocol_invalid_message', `the device asks for tile ${index}, which is not its`);
    return tile;
  });
}
