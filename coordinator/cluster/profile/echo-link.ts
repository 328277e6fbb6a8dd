import { StarlingError } from '../../../daemon/errors.ts';
import type { DataLink } from '../../../daemon/protocol/data-link.ts';
import { FRAME_TYPES, type Frame } from '../../../daemon/protocol/frames.ts';
import { Poller } from '../../../daemon/protocol/poller.ts';
import type { Echo } from './measure-link.ts';

interface Waiting {
  readonly answer: number;
  readonly resolve: () => void;
  readonly reject: (error: StarlingError) => void;
}

/** Echoes over a data link, one at a time, which are waited for as the answers to phases are. */
export class EchoLink implements Echo {
  readonly #link: DataLink;
  readonly #poller = new Poller();
  #waiting: Waiting | undefined;
  /** What is sent: as long as the longest so far. */
  #zeros = new Uint8Array(0);

  constructor(link: DataLink) {
    this.#link = link;
    link.onFrame((frame) => this.#take(frame));
    link.onClose((reason) => {
      this.#waiting?.reject(reason ?? new StarlingError('device_lost', `the link to ${link.remote} was given up`));
      this.#waiting = undefined;
    });
  }

  async echo(bytes: number, answer: number): Promise<void> {
    if (this.#link.closed) throw new StarlingError('device_lost', `the link to ${this.#link.remote} is closed`);
    if (bytes > this.#zeros.length) this.#zeros = new Uint8Array(bytes);
    const answered = new Promise<void>((resolve, reject) => {
      this.#waiting = { answer, resolve, reject };
    });
    // It is looked at below, when it may have failed already.
    answered.catch(() => {});
    this.#link.send({ type: FRAME_TYPES.ECHO, index: answer }, this.#zeros.subarray(0, bytes));
    const wait = this.#poller.begin(bytes + answer);
    await wait.until(() => this.#waiting === undefined, [this.#link]);
    await answered;
    wait.end();
  }

  /** @throws StarlingError protocol_invalid_message */
  #take({ header: { type }, payload }: Frame): void {
    const waiting = this.#waiting;
    if (type !== FRAME_TYPES.ECHO || payload.length !== waiting?.answer) {
      throw new StarlingError(
        'protocol_invalid_message',
        `${this.#link.remote} answered an echo of ${waiting?.answer ?? 'no'} bytes with a frame of type ${type} and ${payload.length}`,
      );
    }
    this.#waiting = undefined;
    waiting.resolve();
  }
}
