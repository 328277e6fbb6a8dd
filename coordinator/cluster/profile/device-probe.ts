import { randomBytes } from 'node:crypto';
import { StarlingError } from '../../../daemon/errors.ts';
import type { DeviceProfile, LinkProfile } from '../../../daemon/profile/device-profile.ts';
import { type OpenChannel, SECRET_BYTES } from '../../../daemon/protocol/channel.ts';
import type { ControlLink } from '../../../daemon/protocol/control-link.ts';
import type { DataLink } from '../../../daemon/protocol/data-link.ts';
import { dialData } from '../../../daemon/protocol/link-client.ts';
import type { WeightFormat } from '../../../kernels/formats.ts';
import { EchoLink } from './echo-link.ts';
import { measureLink } from './measure-link.ts';

export interface DeviceProbeOptions {
  readonly control: ControlLink;
  /** Where the device listens. */
  readonly host: string;
  readonly port: number;
  /** For the data link to open. */
  readonly timeoutMs: number;
  readonly openChannel: OpenChannel;
  readonly onProgress: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** For a device to measure all that it is asked for; that it is there at all its heartbeat tells. */
const MEASURE_MS = 120_000;

/** The coordinator's side of a probe: what a device can do, and then what the link to it can. */
export class DeviceProbe {
  readonly #options: DeviceProbeOptions;
  readonly #session = randomBytes(12).toString('hex');
  readonly #secret = randomBytes(SECRET_BYTES);
  #data: DataLink | undefined;

  constructor(options: DeviceProbeOptions) {
    this.#options = options;
  }

  /** How far the device is. */
  progress(done: number, total: number): void {
    this.#options.onProgress(done, total);
  }

  /** @throws StarlingError what the device tells of; device_unreachable when it takes too long; cancelled */
  async measure(formats: readonly WeightFormat[]): Promise<DeviceProfile> {
    const { control, signal } = this.#options;
    control.send({ t: 'measure', session: this.#session, secret: this.#secret.toString('hex'), formats });
    const { t: _, ...profile } = await control.next(['profile'], MEASURE_MS, signal);
    const lacking = formats.find((format) => profile.formats[format] === undefined);
    if (lacking === undefined) return profile;
    throw new StarlingError('protocol_invalid_message', `the device does not tell how fast it computes ${lacking}`);
  }

  /** To be called when no device measures any more. @throws StarlingError as dialData and measureLink */
  async measureLink(): Promise<LinkProfile> {
    const { host, port, timeoutMs, openChannel, signal } = this.#options;
    const dial = { host, port, timeoutMs, openChannel, ...(signal === undefined ? {} : { signal }) };
    const data = await dialData({ ...dial, session: this.#session, secret: this.#secret });
    this.#data = data;
    try {
      return await measureLink(new EchoLink(data));
    } finally {
      data.close();
    }
  }

  close(): void {
    this.#data?.close();
  }
}
