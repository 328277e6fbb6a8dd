import { StarlingError } from '../errors.ts';

/** Tiles are about 0.5–4 MB; this bounds what a sender can make a device allocate. */
export const MAX_TILE = 64 * 2 ** 20;

/** Puts one tile together from its pieces, which come in order. */
export class IncomingTile {
  readonly index: number;
  /** What has arrived so far, and room for the rest. */
  readonly content: Uint8Array<ArrayBuffer>;
  #received = 0;

  /**
   * @param index the tile's place in the list of the load
   * @param bytes its size
   * @param take gives as much memory, of any content
   * @throws StarlingError protocol_invalid_message for a size that no tile has
   */
  constructor(index: number, bytes: number, take = (length: number) => new Uint8Array(length)) {
    if (!Number.isInteger(bytes) || bytes < 1 || bytes > MAX_TILE) {
      throw new StarlingError(
        'protocol_invalid_message',
        `tile ${index} of ${bytes} bytes: 1 to ${MAX_TILE} are possible`,
      );
    }
    this.index = index;
    this.content = take(bytes);
  }

  /** Bytes that have arrived; where the next piece has to begin. */
  get received(): number {
    return this.#received;
  }

  get complete(): boolean {
    return this.#received === this.content.length;
  }

  /**
   * Copies one piece.
   * @param offset where in the tile it begins
   * @returns whether the tile is complete now
   * @throws StarlingError protocol_invalid_message for a piece of another tile, out of order, empty or beyond the end
   */
  accept(index: number, offset: number, piece: Uint8Array): boolean {
    if (index !== this.index) throw this.#invalid(`a piece of tile ${index} came`);
    if (offset !== this.#received) throw this.#invalid(`a piece at byte ${offset} came, expected at ${this.#received}`);
    if (piece.length === 0) throw this.#invalid('an empty piece came');
    if (piece.length > this.content.length - offset) {
      throw this.#invalid(`${piece.length} bytes at byte ${offset} reach beyond its ${this.content.length} bytes`);
    }
    this.content.set(piece, offset);
    this.#received += piece.length;
    return this.complete;
  }

  #invalid(what: string): StarlingError {
    return new StarlingError('protocol_invalid_message', `while tile ${this.index} is received, ${what}`);
  }
}
