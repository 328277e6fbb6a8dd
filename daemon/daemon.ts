import { randomBytes } from 'node:crypto';
import type { ClusterKey } from './cluster-key.ts';
import { type DeviceFactsOptions, deviceFacts } from './device-facts.ts';
import { Discovery } from './discovery.ts';
import { checkLoad } from './engine/check-load.ts';
import { StarlingError, toStarlingError } from './errors.ts';
import { type Loan, refuseLoan, refuseUse, type Use } from './loan.ts';
import type { Logger } from './log.ts';
import { residentBytes } from './process-memory.ts';
import type { DeviceProfiler } from './profile/device-profiler.ts';
import { Probe } from './profile/probe.ts';
import { type Control, type ControlMessage, errorMessage, PROTOCOL_VERSION } from './protocol/control.ts';
import type { ControlLink } from './protocol/control-link.ts';
import type { DataLink } from './protocol/data-link.ts';
import { LinkServer } from './protocol/link-server.ts';
import { channelFor } from './protocol/open-channel.ts';
import { Session } from './session.ts';
import type { TileStore } from './store/tile-store.ts';

export interface DaemonOptions extends DeviceFactsOptions {
  readonly key: ClusterKey;
  readonly store: TileStore;
  readonly profiler: DeviceProfiler;
  /** Where to listen; all addresses of both families otherwise. */
  readonly host?: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly discoverable: boolean;
  readonly log: Logger;
  /** For tests: see EngineOptions. */
  readonly readDelayMs?: number;
}

/** For a coordinator to introduce itself after connecting. */
const HELLO_MS = 10_000;

/** What runs on every device: it listens, is found, stores tiles, and computes them for one coordinator at a time. */
export class Daemon {
  /** Tells this process from another one of the same identity. */
  readonly run = randomBytes(8).toString('hex');
  readonly #options: DaemonOptions;
  readonly #server: LinkServer;
  #discovery: Discovery | undefined;
  #session: Session | undefined;
  /** There is a session, or a loan, or a probe, or none of them. */
  #loan: Loan | undefined;
  #probe: Probe | undefined;
  /** Settles when the last session or probe has let go of its memory. */
  #ended: Promise<void> = Promise.resolve();

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#server = new LinkServer({
      key: options.key,
      log: options.log,
      onControl: (link) => {
        this.#greet(link).catch((error: unknown) => this.#refuse(link, toStarlingError(error)));
      },
      secretOf: (session) => this.#opened(session)?.secret ?? null,
      onData: (link, session) => this.#attach(link, session),
      openChannel: channelFor(options.backend),
    });
  }

  /** @returns the port @throws StarlingError address_in_use, store_failed */
  async start(): Promise<number> {
    const { host, port, identity, key, discoverable, log, store } = this.#options;
    const removed = await store.cleanTemporary();
    if (removed > 0) log.info(`removed ${removed} half-written tiles`);
    const bound = await this.#server.start(port, host);
    if (discoverable) {
      const advertise = {
        name: identity.name,
        keyId: key.keyId,
        protocol: PROTOCOL_VERSION,
        port: bound,
        run: this.run,
      };
      this.#discovery = new Discovery({ id: identity.id, advertise, browse: false, log });
      this.#discovery.start();
    }
    return bound;
  }

  async stop(): Promise<void> {
    await this.#discovery?.stop();
    await this.#server.stop();
    await this.#session?.close();
    await this.#probe?.close();
    await this.#ended;
  }

  async #greet(link: ControlLink): Promise<void> {
    const hello = await link.next(['hello'], HELLO_MS);
    link.send({ t: 'welcome', protocol: PROTOCOL_VERSION, ...deviceFacts(this.#options, this.run, this.#use()) });
    if (hello.purpose === 'serve')
      this.#options.log.info({ coordinator: hello.name, from: link.remote }, 'a coordinator connected');
    link.onMessage((message) => {
      this.#handle(link, message).catch((error: unknown) => this.#refuse(link, toStarlingError(error)));
    });
    link.onClose((reason) => {
      const log = this.#options.log;
      if (reason?.code.startsWith('protocol_'))
        log.warn({ coordinator: hello.name, code: reason.code }, reason.message);
      if (this.#loan?.control === link) {
        this.#loan = undefined;
        log.info({ why: reason?.message }, 'this device was given back');
      }
      const begun = this.#begunBy(link);
      if (begun === undefined) return;
      log.info({ coordinator: hello.name, why: reason?.message }, 'the coordinator left');
      this.#end(begun);
    });
  }

  async #handle(link: ControlLink, message: ControlMessage): Promise<void> {
    switch (message.t) {
      case 'load':
        await this.#load(link, message);
        return;
      case 'start':
        await this.#start(link);
        return;
      case 'unload': {
        const begun = this.#begunBy(link);
        if (begun !== undefined) this.#end(begun);
        return;
      }
      case 'measure':
        await this.#measure(link, message);
        return;
      case 'forget':
        await this.#options.profiler.forget();
        return;
      case 'borrow':
        await this.#lend(link, message);
        return;
      case 'status_request':
        link.send(await this.#status());
        return;
      case 'error':
        this.#options.log.warn({ from: link.remote, code: message.code }, message.message);
        return;
      default:
        throw new StarlingError('protocol_invalid_message', `a coordinator does not send ${message.t}`);
    }
  }

  async #load(link: ControlLink, load: Control<'load'>): Promise<void> {
    if (this.#probe?.control === link) this.#end(this.#probe);
    const refusal = refuseUse(this.#use());
    if (refusal !== null) throw refusal;
    checkLoad(load.engine, load.tiles);
    const { log } = this.#options;
    const begun = new Session({ ...this.#options, load, control: link });
    this.#session = begun;
    await this.#ended;
    // The link may have closed meanwhile.
    if (this.#session !== begun) return;
    log.info({ model: load.modelName, tiles: load.tiles.length }, 'was given a share of a model');
    await begun.begin();
  }

  async #start(link: ControlLink): Promise<void> {
    if (this.#session?.control !== link) throw new StarlingError('protocol_invalid_message', 'start came before load');
    await this.#session.start();
  }

  async #measure(link: ControlLink, measure: Control<'measure'>): Promise<void> {
    const refusal = refuseUse(this.#use());
    if (refusal !== null) throw refusal;
    const begun = new Probe({ ...this.#options, measure, control: link });
    this.#probe = begun;
    await this.#ended;
    // It may have ended meanwhile.
    if (this.#probe === begun) await begun.begin();
  }

  /**
   * Lends this device to a coordinator on this computer, which then computes its share by itself, until its link
   * closes.
   */
  async #lend(link: ControlLink, { modelName }: Control<'borrow'>): Promise<void> {
    const refusal = refuseLoan(link.isLocal, this.#use());
    if (refusal !== null) throw refusal;
    this.#loan = { control: link, modelName };
    this.#options.log.info({ model: modelName }, 'this device is lent to this computer\'s own "starling serve"');
    // What the last session had in memory is the borrower's now.
    await this.#ended;
    link.send({ t: 'lent', residentBytes: await residentBytes() });
  }

  /** What it is used for; null when it is free. */
  #use(): Use | null {
    const serving = (this.#session ?? this.#loan)?.modelName;
    if (serving !== undefined) return { serving };
    return this.#probe === undefined ? null : { serving: null };
  }

  /**
   * What this link began; it is known from its first moment, so that a link that closes early ends it too.
   */
  #begunBy(link: ControlLink): Session | Probe | undefined {
    return [this.#session, this.#probe].find((each) => each?.control === link);
  }

  /** What takes a data link of that name. */
  #opened(session: string): Session | Probe | undefined {
    return [this.#session, this.#probe].find((each) => each?.id === session);
  }

  #attach(link: DataLink, session: string): void {
    const opened = this.#opened(session);
    // The session may have ended while the link was opened, or another link may have come first.
    if (opened === undefined || opened.secret === null) {
      link.fail(new StarlingError('protocol_invalid_message', 'there is no such session'));
      return;
    }
    opened.attach(link);
  }

  #end(begun: Session | Probe): void {
    if (this.#session === begun) this.#session = undefined;
    if (this.#probe === begun) this.#probe = undefined;
    this.#ended = begun.close().catch((error: unknown) => this.#options.log.error(toStarlingError(error).message));
  }

  #refuse(link: ControlLink, error: StarlingError): void {
    if (!link.closed) this.#options.log.warn({ from: link.remote, code: error.code }, error.message);
    link.send(errorMessage(error, true));
    link.close();
  }

  async #status(): Promise<Control<'status'>> {
    const models = await this.#options.store.list();
    const facts = deviceFacts(this.#options, this.run, this.#use());
    return {
      t: 'status',
      ...facts,
      model: facts.serving,
      lent: this.#loan !== undefined,
      tiles: this.#session?.tiles ?? 0,
      storeBytes: models.reduce((sum, { bytes }) => sum + bytes, 0),
      rssBytes: process.memoryUsage.rss(),
      memory: this.#session?.memory ?? null,
    };
  }
}
