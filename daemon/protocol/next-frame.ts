import type { DataLink } from './data-link.ts';
import { Poller } from './poller.ts';

/** Waits on a link for the frame that follows an answer, awake: see Poller. */
export class NextFrame {
  readonly #poller = new Poller();
  /** Frames that came, so that a wait for the next is over when it does. */
  #heard = 0;
  /** Tells how long the wait for the next frame was. */
  #observe: (() => void) | undefined;

  /** To be called for each frame. */
  heard(): void {
    this.#heard++;
    this.#observe?.();
    this.#observe = undefined;
  }

  /** @param kind see Poller.begin */
  async wait(kind: number, link: DataLink): Promise<void> {
    const heard = this.#heard;
    const wait = this.#poller.begin(kind);
    this.#observe = wait.end;
    await wait.until(() => this.#heard !== heard || link.closed, [link]);
  }
}
