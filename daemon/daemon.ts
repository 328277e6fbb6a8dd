import { randomBytes } from 'node:crypto';
import { arch, availableParallelism, platform } from 'node:os';
import type { BackendName } from '../kernels/kernels.ts';
import type { ClusterKey } from './cluster-key.ts';
import { Discovery } from './discovery.ts';
import { checkLoad } from './engine/check-load.ts';
import { StarlingError, toStarlingError } from './errors.ts';
import type { Identity } from './identity.ts';
import { busyWith, type Loan, refuseLoan } from './loan.ts';
import type { Logger } from './log.ts';
import { type ProcessMemory, residentBytes } from './process-memory.ts';
import { type Control, type ControlMessage, errorMessage, PROTOCOL_VERSION } from './protocol/control.ts';
import type { ControlLink } from './protocol/control-link.ts';
import type { DataLink } from './protocol/data-link.ts';
import { LinkServer } from './protocol/link-server.ts';
import { channelFor } from './protocol/open-channel.ts';
import { Session } from './session.ts';
import type { TileStore } from './store/tile-store.ts';

export interface DaemonOptions {
  readonly identity: Identity;
  readonly key: ClusterKey;
  readonly store: TileStore;
  readonly backend: BackendName;
  readonly threads: number;
  readonly memory: ProcessMemory;
  /** Where to listen; all addresses of both families otherwise. */
  readonly host?: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly discoverable: boolean;
  readonly version: string;
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
  /** There is a session, or a loan, or neither. */
  #loan: Loan | undefined;
  /** Settles when the last session has let go of its memory. */
  #ended: Promise<void> = Promise.resolve();

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#server = new LinkServer({
      key: options.key,
      log: options.log,
      onControl: (link) => {
        this.#greet(link).catch((error: unknown) => this.#refuse(link, toStarlingError(error)));
      },
      secretOf: (session) => (this.#session?.id === session ? this.#session.secret : null),
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
    await this.#ended;
  }

  async #greet(link: ControlLink): Promise<void> {
    const hello = await link.next(['hello'], HELLO_MS);
    link.send({ t: 'welcome', protocol: PROTOCOL_VERSION, ...this.#facts() });
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
      const session = this.#sessionOf(link);
      if (session === undefined) return;
      log.info({ coordinator: hello.name, why: reason?.message }, 'the coordinator left');
      this.#end(session);
    });
  }

  async #handle(link: ControlLink, message: ControlMessage): Promise<void> {
    const session = this.#sessionOf(link);
    switch (message.t) {
      case 'load':
        await this.#load(link, message);
        return;
      case 'start':
        if (session === undefined) throw new StarlingError('protocol_invalid_message', 'start came before load');
        await session.start();
        return;
      case 'unload':
        if (session !== undefined) this.#end(session);
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
    const serving = this.#serving();
    if (serving !== null) throw busyWith(serving);
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

  /**
   * Lends this device to a coordinator on this computer, which then computes its share by itself, until its link
   * closes.
   */
  async #lend(link: ControlLink, { modelName }: Control<'borrow'>): Promise<void> {
    const refusal = refuseLoan(link.isLocal, this.#serving());
    if (refusal !== null) throw refusal;
    this.#loan = { control: link, modelName };
    this.#options.log.info({ model: modelName }, 'this device is lent to this computer\'s own "starling serve"');
    // What the last session had in memory is the borrower's now.
    await this.#ended;
    link.send({ t: 'lent', residentBytes: await residentBytes() });
  }

  /** What it is used for; null when it is free. */
  #serving(): string | null {
    return (this.#session ?? this.#loan)?.modelName ?? null;
  }

  /**
   * The session that this link began; it is known from its first moment, so that a link that closes early ends it too.
   */
  #sessionOf(link: ControlLink): Session | undefined {
    return this.#session?.control === link ? this.#session : undefined;
  }

  #attach(link: DataLink, session: string): void {
    // The session may have ended while the link was opened, or another link may have come first.
    if (this.#session?.id !== session || this.#session.secret === null) {
      link.fail(new StarlingError('protocol_invalid_message', 'there is no such session'));
      return;
    }
    this.#session.attach(link);
  }

  #end(session: Session): void {
    if (this.#session === session) this.#session = undefined;
    this.#ended = session.close().catch((error: unknown) => this.#options.log.error(toStarlingError(error).message));
  }

  #refuse(link: ControlLink, error: StarlingError): void {
    if (!link.closed) this.#options.log.warn({ from: link.remote, code: error.code }, error.message);
    link.send(errorMessage(error, true));
    link.close();
  }

  #facts(): Omit<Control<'welcome'>, 't' | 'protocol'> {
    const { identity, backend, threads, version } = this.#options;
    return {
      version,
      id: identity.id,
      name: identity.name,
      run: this.run,
      platform: platform(),
      arch: arch(),
      cores: availableParallelism(),
      memoryBytes: this.#options.memory.budget(),
      backend,
      threads,
      busy: this.#serving() !== null,
      serving: this.#serving(),
    };
  }

  async #status(): Promise<Control<'status'>> {
    const models = await this.#options.store.list();
    return {
      t: 'status',
      ...this.#facts(),
      model: this.#serving(),
      lent: this.#loan !== undefined,
      tiles: this.#session?.tiles ?? 0,
      storeBytes: models.reduce((sum, { bytes }) => sum + bytes, 0),
      rssBytes: process.memoryUsage.rss(),
      memory: this.#session?.memory ?? null,
    };
  }
}
