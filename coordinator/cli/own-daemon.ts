import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterKey } from '../../daemon/cluster-key.ts';
import { type ErrorCode, StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Identity } from '../../daemon/identity.ts';
import type { Logger } from '../../daemon/log.ts';
import type { ControlLink } from '../../daemon/protocol/control-link.ts';
import { greet } from '../../daemon/protocol/greet.ts';
import type { CloseReason } from '../../daemon/protocol/link.ts';
import { dialControl } from '../../daemon/protocol/link-client.ts';
import { type RunFile, readRunFile, type ToldDaemon } from '../../daemon/run-file.ts';

/** For each answer of a daemon on this computer. */
const ANSWER_MS = 5000;
/** Between looks for a daemon that is not there. */
const AGAIN_MS = 5000;
/** A daemon that does not answer may do so later; any other answer stays what it is. */
const MAY_COME: readonly ErrorCode[] = ['device_unreachable', 'device_lost'];

/** What it means when the daemon of this device has another key than this device. */
export const OLD_KEY =
  'it has another cluster key than this device, as one was imported or made while it ran; stop it and start it again';

export interface OwnDaemonOptions {
  /** That of this device's home. */
  readonly runFile: string;
  readonly identity: Identity;
  readonly key: ClusterKey;
  /** What is computed with the device. */
  readonly modelName: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** What became of the attempt to borrow this device from its daemon. */
export type Borrowed =
  /** It is lent, with `residentBytes` that the daemon itself needs. */
  | { readonly state: 'lent'; readonly told: ToldDaemon | undefined; readonly residentBytes: number }
  /** There is no daemon, or none that can be talked to: the device is this process's alone. */
  | { readonly state: 'none' }
  /** Another coordinator uses it. */
  | { readonly state: 'busy' };

/**
 * The daemon of this device while a coordinator on this device computes: it is busy meanwhile, so that nobody else is
 * promised the same memory. A daemon that ends, or is started only later, is borrowed as soon as it is there.
 */
export class OwnDaemon {
  readonly #options: OwnDaemonOptions;
  readonly #ending = new AbortController();
  #link: ControlLink | undefined;

  private constructor(options: OwnDaemonOptions) {
    this.#options = { ...options, signal: AbortSignal.any([options.signal, this.#ending.signal]) };
  }

  /**
   * Borrows this device from its daemon, if one runs. What keeps it from being lent is told in the log.
   * @throws StarlingError cancelled by the signal
   */
  static async borrow(options: OwnDaemonOptions): Promise<{ daemon: OwnDaemon; borrowed: Borrowed }> {
    const daemon = new OwnDaemon(options);
    return { daemon, borrowed: await daemon.#first() };
  }

  /** Gives the device back. */
  close(): void {
    this.#ending.abort();
    this.#link?.close();
  }

  async #first(): Promise<Borrowed> {
    const { log, runFile, signal } = this.#options;
    const run = await readRunFile(runFile);
    if (run === null) {
      void this.#waitFor();
      return { state: 'none' };
    }
    try {
      return { state: 'lent', told: run.told, residentBytes: await this.#take(run) };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const { code, message } = toStarlingError(thrown);
      if (code === 'device_busy') {
        log.warn({ code }, `the daemon of this device is in use (${message}): this computer adds no share of its own`);
        return { state: 'busy' };
      }
      const why = code === 'key_mismatch' ? OLD_KEY : message;
      log.warn({ code }, `cannot borrow this device from its daemon, and computes beside it: ${why}`);
      return { state: 'none' };
    }
  }

  /** @returns bytes that the daemon has resident @throws StarlingError of `borrow` */
  async #take(run: RunFile): Promise<number> {
    const { log } = this.#options;
    const { link, name, residentBytes } = await borrow(run, this.#options);
    this.#link = link;
    // It may have ended while the answer was on its way.
    if (this.#ending.signal.aborted) link.close();
    link.onClose((reason) => this.#lost(name, reason));
    log.info({ device: name, address: link.remote }, `${name}, the daemon of this device, lends it to this command`);
    return residentBytes;
  }

  #lost(name: string, reason: CloseReason): void {
    if (reason === null) return;
    this.#options.log.warn(
      { device: name, code: reason.code },
      `${name}, the daemon of this device, went away (${reason.message}); its share is computed here as before`,
    );
    void this.#waitFor();
  }

  /** Borrows the daemon once there is one, until this is closed or that is refused. */
  async #waitFor(): Promise<void> {
    const { log, runFile, signal } = this.#options;
    for (;;) {
      try {
        await sleep(AGAIN_MS, undefined, { signal, ref: false });
        const run = await readRunFile(runFile);
        if (run === null) continue;
        await this.#take(run);
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const { code, message } = toStarlingError(thrown);
        if (MAY_COME.includes(code)) continue;
        const why = code === 'key_mismatch' ? OLD_KEY : message;
        log.warn({ code }, `cannot borrow this device from its daemon, and computes beside it: ${why}`);
        return;
      }
    }
  }
}

/** @throws StarlingError device_busy, key_mismatch, protocol_version, device_unreachable, device_lost, cancelled */
async function borrow(
  { host, port, id }: RunFile,
  { key, identity, modelName, signal }: OwnDaemonOptions,
): Promise<{ link: ControlLink; name: string; residentBytes: number }> {
  const link = await dialControl({ host, port, key, timeoutMs: ANSWER_MS, signal });
  try {
    const welcome = await greet(link, identity, 'serve', ANSWER_MS, signal);
    if (welcome.id !== id) {
      throw new StarlingError(
        'device_unreachable',
        `another daemon than that of this device listens at ${link.remote}`,
      );
    }
    if (welcome.busy) {
      throw new StarlingError('device_busy', `${welcome.name} is serving ${welcome.serving ?? 'another model'}`);
    }
    link.send({ t: 'borrow', modelName });
    const { residentBytes } = await link.next(['lent'], ANSWER_MS, signal);
    return { link, name: welcome.name, residentBytes };
  } catch (error) {
    link.close();
    throw error;
  }
}
