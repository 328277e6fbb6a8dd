import { StarlingError } from '../../daemon/errors.ts';
import type { DataLink } from '../../daemon/protocol/data-link.ts';
import { FRAME_TYPES, type FrameHeader } from '../../daemon/protocol/frames.ts';
import { TILE_CHUNK, TILE_STATUS } from '../../daemon/protocol/tile-transfer.ts';
import { type TileShape, tileName } from '../../daemon/tile/tile.ts';

/** A tile that arrives damaged this often points to a broken device. */
const MOST_SENDS = 3;

interface Acknowledgement {
  readonly resolve: (status: number) => void;
  readonly reject: (error: StarlingError) => void;
}

/** Tiles on their way to a device over its data link, one after the other. */
export class TileSender {
  readonly #link: DataLink;
  readonly #name: string;
  readonly #places: ReadonlyMap<string, number>;
  readonly #awaited = new Map<number, Acknowledgement>();
  /** Settles when the tiles so far are on their way. */
  #sending: Promise<void> = Promise.resolve();
  #failed: StarlingError | undefined;

  /** @param tiles of the device, as it was told of them */
  constructor(link: DataLink, name: string, tiles: readonly TileShape[]) {
    this.#link = link;
    this.#name = name;
    this.#places = new Map(tiles.map((tile, place) => [tileName(tile), place]));
  }

  /**
   * Sends one tile; the caller sees to it that no more than TILE_WINDOW bytes are under way.
   * @param content stays as it is until this settles
   * @param sha256 of the content
   * @returns when it is stored
   * @throws StarlingError tile_damaged when it keeps arriving damaged; what `fail` was told
   */
  async push(tile: TileShape, content: Uint8Array, sha256: Uint8Array): Promise<void> {
    const index = this.#places.get(tileName(tile))!;
    for (let attempt = 1; attempt <= MOST_SENDS; attempt++) {
      if ((await this.#send(index, content, sha256)) === TILE_STATUS.stored) return;
    }
    throw new StarlingError(
      'tile_damaged',
      `${tileName(tile)} arrived damaged at ${this.#name} ${MOST_SENDS} times; check its network and memory`,
    );
  }

  /** Takes a TILE_ACK. */
  take({ index, format: status }: FrameHeader): void {
    this.#awaited.get(index)?.resolve(status);
    this.#awaited.delete(index);
  }

  /** Nothing is acknowledged any more. */
  fail(error: StarlingError): void {
    this.#failed = error;
    for (const { reject } of this.#awaited.values()) reject(error);
    this.#awaited.clear();
  }

  /** Sends a tile, after those before it. @returns the device's answer */
  #send(index: number, content: Uint8Array, sha256: Uint8Array): Promise<number> {
    const link = this.#link;
    return new Promise((resolve, reject) => {
      const send = async (): Promise<void> => {
        if (this.#failed !== undefined) throw this.#failed;
        this.#awaited.set(index, { resolve, reject });
        for (let offset = 0; offset < content.length && !link.closed; offset += TILE_CHUNK) {
          const chunk = content.subarray(offset, offset + TILE_CHUNK);
          const payloads = offset === 0 ? [sha256, chunk] : [chunk];
          link.send({ type: FRAME_TYPES.TILE, index, offset }, ...payloads);
          // A piece is copied when it is sent: not before the last one is on its way. That the link closed, `fail`
          // tells.
          await link.drained(TILE_CHUNK).catch(() => {});
        }
      };
      this.#sending = this.#sending.then(send).catch(reject);
    });
  }
}
