import { randomBytes } from 'node:crypto';
import type { ClusterKey } from '../../daemon/cluster-key.ts';
import type { EngineSpec, Phase } from '../../daemon/engine/engine-spec.ts';
import type { EngineUsage } from '../../daemon/engine/usage.ts';
import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Identity } from '../../daemon/identity.ts';
import type { DeviceProfile, LinkProfile } from '../../daemon/profile/device-profile.ts';
import { type OpenChannel, SECRET_BYTES } from '../../daemon/protocol/channel.ts';
import { type Control, errorFrom } from '../../daemon/protocol/control.ts';
import type { ControlLink } from '../../daemon/protocol/control-link.ts';
import type { DataLink } from '../../daemon/protocol/data-link.ts';
import { FRAME_TYPES } from '../../daemon/protocol/frames.ts';
import { greet } from '../../daemon/protocol/greet.ts';
import { dialControl, dialData } from '../../daemon/protocol/link-client.ts';
import type { PhaseOfStep } from '../../daemon/protocol/star-codec.ts';
import type { TileShape } from '../../daemon/tile/tile.ts';
import type { WeightFormat } from '../../kernels/formats.ts';
import { LeafLink } from './leaf-link.ts';
import { DeviceProbe } from './profile/device-probe.ts';
import type { Leaf, ModelName, Rank, RankMemory, TakeRows } from './rank.ts';
import { TileSender } from './tile-sender.ts';

export interface DialRankOptions {
  readonly host: string;
  readonly port: number;
  readonly key: ClusterKey;
  readonly identity: Identity;
  /** How its data link is read and written. */
  readonly openChannel: OpenChannel;
  /** For the connection, and again for the answer to a greeting; DIAL_MS by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** For connecting and for a device's answer to a greeting. */
export const DIAL_MS = 5000;
/** For a device to look up which tiles it has. */
const LOOKUP_MS = 60_000;
/** For a device to read its tiles, from whatever disk; that it is there its heartbeat tells. */
const LOAD_MS = 4 * 3600_000;

/** For the control link to tell why a device has closed its data link: its word may be on the way still. */
const REASON_MS = 1000;

/** A session's data link and what goes over it. */
interface Session {
  readonly data: DataLink;
  readonly tiles: TileSender;
  readonly leaf: LeafLink;
}

/** A device reached over the network: its control link, the share it is given, and whether it is lost. */
export class RemoteRank implements Rank, Leaf {
  readonly welcome: Control<'welcome'>;
  readonly #control: ControlLink;
  readonly #dial: DialRankOptions;
  readonly #lostListeners: ((error: StarlingError) => void)[] = [];
  #share: readonly TileShape[] = [];
  #session: Session | undefined;
  #probe: DeviceProbe | undefined;
  #onMissing: ((tiles: readonly TileShape[]) => void) | undefined;
  #memory: RankMemory | undefined;
  #lost: StarlingError | undefined;
  /** Loses the device, whose data link has ended, unless its control link tells why before. */
  #closing: NodeJS.Timeout | undefined;

  private constructor(control: ControlLink, welcome: Control<'welcome'>, dial: DialRankOptions) {
    this.#control = control;
    this.#dial = dial;
    this.welcome = welcome;
    control.onClose((reason) => this.#lose(reason ?? new StarlingError('device_lost', `${this.name} was let go`)));
    control.onMessage((message) => {
      if (message.t === 'missing') this.#onMissing?.(pick(this.#share, message.indices));
      if (message.t === 'progress') this.#probe?.progress(message.done, message.total);
      if (message.t === 'error') this.#lose(errorFrom(message, this.name));
    });
  }

  /** @throws StarlingError device_unreachable, key_mismatch, protocol_version */
  static async dial(options: DialRankOptions): Promise<RemoteRank> {
    const timeoutMs = options.timeoutMs ?? DIAL_MS;
    const control = await dialControl({ ...options, timeoutMs });
    try {
      const welcome = await greet(control, options.identity, 'serve', timeoutMs, options.signal);
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

  get profile(): Rank['profile'] {
    return this.welcome;
  }

  get memory(): RankMemory | undefined {
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
   * Has the device tell what it can do with weights of some formats. It is then kept from others until it is loaded,
   * unloaded or let go.
   * @throws StarlingError device_busy, device_lost, memory_too_small; the device is then lost
   */
  measure(formats: readonly WeightFormat[], onProgress: (done: number, total: number) => void): Promise<DeviceProfile> {
    const probe = new DeviceProbe({ ...this.#dial, timeoutMs: DIAL_MS, control: this.#control, onProgress });
    this.#probe = probe;
    return this.#orLose(probe.measure(formats));
  }

  /** Measures the way to the device, after `measure` and while it does nothing else. @throws StarlingError as that */
  measureLink(): Promise<LinkProfile> {
    if (this.#probe === undefined) throw new StarlingError('internal', `${this.name} has not been measured`);
    return this.#orLose(this.#probe.measureLink());
  }

  /** Tells the device that it is not as it measured itself: it measures itself anew when it is asked next. */
  forget(): void {
    this.#control.send({ t: 'forget' });
  }

  async load(model: ModelName, engine: EngineSpec, share: readonly TileShape[]): Promise<TileShape[]> {
    const session = randomBytes(12).toString('hex');
    const secret = randomBytes(SECRET_BYTES);
    this.#share = share;
    this.#probe = undefined;
    this.#control.send({
      t: 'load',
      session,
      secret: secret.toString('hex'),
      modelId: model.id,
      modelName: model.name,
      engine,
      tiles: share,
    });
    const open = async (): Promise<TileShape[]> => {
      const missing = await this.#control.next(['missing'], LOOKUP_MS, this.#dial.signal);
      this.#open(await dialData({ ...this.#dial, timeoutMs: DIAL_MS, session, secret }), engine, share);
      return pick(share, missing.indices);
    };
    return this.#orLose(open());
  }

  unload(): void {
    this.#control.send({ t: 'unload' });
    const session = this.#session;
    this.#session = undefined;
    this.#memory = undefined;
    session?.data.close();
  }

  async push(tile: TileShape, content: Uint8Array, sha256: Uint8Array): Promise<void> {
    await this.#ready().tiles.push(tile, content, sha256);
  }

  async start(): Promise<readonly TileShape[]> {
    this.#control.send({ t: 'start' });
    // Not `progress` as well: what comes in the same read as that would find nobody waiting for it.
    const message = await this.#control.next(['ready', 'missing'], LOAD_MS, this.#dial.signal);
    if (message.t === 'missing') return pick(this.#share, message.indices);
    this.#memory = message.memory;
    return [];
  }

  hasTiles(layer: number, phase: Phase): boolean {
    return this.#session?.leaf.hasTiles(layer, phase) ?? false;
  }

  beginStep(step: Uint8Array, number: number, rows: number, heads: number): void {
    this.#session?.leaf.beginStep(step, number, rows, heads);
  }

  async compute(of: PhaseOfStep, input: Uint8Array, take: TakeRows): Promise<EngineUsage> {
    return this.#ready().leaf.compute(of, input, take);
  }

  get polls(): boolean {
    return this.#session?.data.polls ?? false;
  }

  poll(): void {
    this.#session?.data.poll();
  }

  close(): void {
    this.#control.close();
    this.#session?.data.close();
    this.#probe?.close();
  }

  #open(data: DataLink, spec: EngineSpec, share: readonly TileShape[]): void {
    const session: Session = {
      data,
      tiles: new TileSender(data, this.name, share),
      leaf: new LeafLink(data, this.name, spec, share),
    };
    this.#session = session;
    data.onClose((reason) => {
      // Not the link of a session that was ended by `unload`.
      if (this.#session !== session || this.#lost !== undefined) return;
      const error = reason ?? new StarlingError('device_lost', `${this.name} closed its data link`);
      // Two connections: that this one has ended may be seen before what the device said on the other.
      if (error.code === 'device_lost') this.#closing = setTimeout(() => this.#lose(error), REASON_MS);
      else this.#lose(error);
    });
    data.onFrame((frame) => {
      if (frame.header.type === FRAME_TYPES.TILE_ACK) session.tiles.take(frame.header);
      else session.leaf.take(frame);
    });
  }

  /** Loses the device where what is asked of it fails. */
  async #orLose<T>(asked: Promise<T>): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      this.#lose(toStarlingError(error));
      throw error;
    }
  }

  #ready(): Session {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#session === undefined) throw new StarlingError('device_lost', `${this.name} has no data link`);
    return this.#session;
  }

  #lose(error: StarlingError): void {
    if (this.#lost !== undefined) return;
    clearTimeout(this.#closing);
    this.#lost =
      error.code === 'device_lost'
        ? new StarlingError(
            'device_lost',
            `device ${this.name} is lost: ${error.message}; when it is there, start this command again`,
            { cause: error },
          )
        : error;
    this.#session?.leaf.fail(this.#lost);
    this.#session?.tiles.fail(this.#lost);
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
