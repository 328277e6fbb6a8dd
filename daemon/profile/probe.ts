import { StarlingError, toStarlingError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Control } from '../protocol/control.ts';
import type { ControlLink } from '../protocol/control-link.ts';
import type { DataLink } from '../protocol/data-link.ts';
import { FRAME_TYPES, type Frame, MAX_FRAME } from '../protocol/frames.ts';
import { NextFrame } from '../protocol/next-frame.ts';
import type { DeviceProfiler } from './device-profiler.ts';

export interface ProbeOptions {
  readonly measure: Control<'measure'>;
  readonly control: ControlLink;
  readonly profiler: DeviceProfiler;
  readonly log: Logger;
}

/**
 * One coordinator's look at what this device and the link to it can do. It ends with its control link, with `unload`, or
 * when a share is loaded over that.
 */
export class Probe {
  readonly id: string;
  readonly control: ControlLink;
  readonly #options: ProbeOptions;
  readonly #abort = new AbortController();
  readonly #next = new NextFrame();
  #data: DataLink | undefined;
  #measured: Promise<void> | undefined;
  /** Echoes that were answered, how long the last one was, and whether the next is waited for. */
  #answered = 0;
  #length = 0;
  #watches = false;
  /** What answers are made of: as long as the longest that was asked for. */
  #zeros = new Uint8Array(0);

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.id = options.measure.session;
    this.control = options.control;
  }

  /** What its data link proves itself with; null while it has one, or when it has ended. */
  get secret(): Uint8Array | null {
    const taken = this.#data !== undefined && !this.#data.closed;
    return taken || this.#abort.signal.aborted ? null : Buffer.from(this.#options.measure.secret, 'hex');
  }

  /** Measures, telling how far that is, and then what came of it. @throws StarlingError as DeviceProfiler.profile */
  async begin(): Promise<void> {
    const { measure, profiler } = this.#options;
    const { signal } = this.#abort;
    const onProgress = (done: number, total: number): void => this.control.send({ t: 'progress', done, total });
    const profile = profiler.profile(measure.formats, { onProgress, signal });
    this.#measured = profile.then(
      () => {},
      () => {},
    );
    try {
      const found = await profile;
      if (!signal.aborted) this.control.send({ t: 'profile', ...found });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Takes the data link by which the way to this device is measured, one at a time. */
  attach(link: DataLink): void {
    this.#data = link;
    link.onClose((reason) => {
      if (reason !== null && reason.code !== 'device_lost')
        this.#options.log.warn({ code: reason.code }, reason.message);
    });
    link.onFrame((frame) => this.#echo(frame, link));
  }

  /** Ends it; returns when nothing is measured any more. */
  async close(): Promise<void> {
    this.#abort.abort();
    this.#data?.close();
    await this.#measured;
  }

  /** @throws StarlingError protocol_invalid_message */
  #echo({ header: { type, index: bytes } }: Frame, link: DataLink): void {
    if (type !== FRAME_TYPES.ECHO) {
      throw new StarlingError('protocol_invalid_message', `frames of type ${type} come in a session that is loaded`);
    }
    if (bytes > MAX_FRAME) {
      throw new StarlingError('protocol_invalid_message', `an echo of ${bytes} bytes is asked for`);
    }
    // Who asks without reading the answers would fill the memory with them.
    if (link.bufferedAmount > MAX_FRAME) {
      throw new StarlingError('protocol_invalid_message', 'an echo is asked for while another waits to be read');
    }
    this.#next.heard();
    this.#answered++;
    this.#length = bytes;
    if (bytes > this.#zeros.length) this.#zeros = new Uint8Array(bytes);
    link.send({ type: FRAME_TYPES.ECHO }, this.#zeros.subarray(0, bytes));
    if (this.#watches) return;
    this.#watches = true;
    this.#watch(link)
      .catch((error: unknown) => this.#options.log.error({ from: link.remote }, toStarlingError(error).message))
      .finally(() => {
        this.#watches = false;
      });
  }

  /** Waits for the next frame as between two phases, as long as they come. */
  async #watch(link: DataLink): Promise<void> {
    // Not within the delivery of this one, which may have others after it.
    await undefined;
    for (let answered = -1; answered !== this.#answered && !link.closed; ) {
      answered = this.#answered;
      // Waits are alike where answers are.
      await this.#next.wait(this.#length, link);
    }
  }
}
