import { BufferPool } from '../buffer-pool.ts';
import { StarlingError } from '../errors.ts';
import { HASH_BYTES, TILE_WINDOW, type TileStatus } from '../protocol/tile-transfer.ts';
import { type TileShape, tileLayout, tileName } from '../tile/tile.ts';
import { IncomingTile } from './incoming-tile.ts';
import type { TileStore } from './tile-store.ts';

/** The tiles of one load on their way into the store; one is put together at a time, several may be being written. */
export class IncomingTiles {
  readonly #store: TileStore;
  readonly #modelId: string;
  readonly #tiles: readonly TileShape[];
  readonly #writing = new Set<Promise<TileStatus>>();
  readonly #pool = new BufferPool(TILE_WINDOW);
  #writingBytes = 0;
  #current: { tile: IncomingTile; sha256: Uint8Array } | undefined;

  constructor(store: TileStore, modelId: string, tiles: readonly TileShape[]) {
    this.#store = store;
    this.#modelId = modelId;
    this.#tiles = tiles;
  }

  /**
   * Takes one TILE frame.
   * @returns when it completes a tile, how storing it went; rejected with disk_full or store_failed
   * @throws StarlingError protocol_invalid_message
   */
  accept(index: number, offset: number, payload: Uint8Array): Promise<TileStatus> | undefined {
    const shape = this.#tiles[index];
    if (shape === undefined)
      throw new StarlingError('protocol_invalid_message', `tile ${index} is not part of the load`);
    let content = payload;
    if (offset === 0) {
      if (payload.length <= HASH_BYTES)
        throw new StarlingError('protocol_invalid_message', `tile ${index} came without content`);
      this.#current = { tile: this.#begin(index, shape), sha256: payload.slice(0, HASH_BYTES) };
      content = payload.subarray(HASH_BYTES);
    }
    if (this.#current === undefined)
      throw new StarlingError('protocol_invalid_message', `tile ${index} came without its start`);
    const { tile, sha256 } = this.#current;
    if (!tile.accept(index, offset, content)) return undefined;
    this.#current = undefined;
    const written = this.#write(tileName(shape), tile.content, sha256);
    this.#writing.add(written);
    written.finally(() => this.#writing.delete(written)).catch(() => {});
    return written;
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#writing);
    this.#pool.clear();
  }

  /** @throws StarlingError protocol_invalid_message when the sender does not wait for what it has sent to be stored */
  #begin(index: number, shape: TileShape): IncomingTile {
    const { bytes } = tileLayout(shape);
    if (this.#writingBytes > 0 && this.#writingBytes + bytes > TILE_WINDOW)
      throw new StarlingError(
        'protocol_invalid_message',
        `tile ${index} came with ${this.#writingBytes} bytes of others still being written: ${TILE_WINDOW} may be under way`,
      );
    return new IncomingTile(index, bytes, (length) => this.#pool.take(length));
  }

  async #write(name: string, content: Uint8Array<ArrayBuffer>, sha256: Uint8Array): Promise<TileStatus> {
    this.#writingBytes += content.length;
    try {
      await this.#store.write(this.#modelId, name, content, sha256);
      return 'stored';
    } catch (error) {
      if (error instanceof StarlingError && error.code === 'tile_damaged') return 'damaged';
      throw error;
    } finally {
      this.#writingBytes -= content.length;
      this.#pool.give(content);
    }
  }
}
