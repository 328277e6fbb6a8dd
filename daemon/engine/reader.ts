import { parentPort, workerData } from 'node:worker_threads';
import { type ArenaHandle, viewOf } from '../../kernels/arena.ts';
import type { Address } from '../../kernels/kernels.ts';
import { type ErrorCode, toStarlingError } from '../errors.ts';
import { readTileFile } from './read-tile-file.ts';
import { type WindowShared, WindowWords } from './window-words.ts';

/** A tile on disk. */
export interface StoredTile {
  readonly file: string;
  /** Of the content. */
  readonly bytes: number;
}

/** What a reader is started with. */
export interface ReaderData {
  readonly reader: number;
  readonly handle: ArenaHandle;
  readonly shared: WindowShared;
  /** In execution order. */
  readonly tiles: readonly StoredTile[];
  /** See Occupants.tiles. */
  readonly occupants: Int32Array;
  /** Of the streamed tiles, in the order of the stream. */
  readonly places: readonly number[];
  /** The first slot; the others follow. */
  readonly ring: Address;
  readonly slotBytes: number;
  /** Whether reads may bypass the system's cache. */
  readonly direct: boolean;
  /** Most milliseconds by which each read is held up, at random; for tests. */
  readonly delayMs: number;
}

/** What a reader tells when it cannot read a tile; it then waits for the answer. */
export interface ReadFailure {
  readonly reader: number;
  /** Its number in execution order. */
  readonly tile: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/** The life of a reader: take the next ticket, read its tile into its slot, again. */
function read({
  reader,
  handle,
  shared,
  tiles,
  occupants,
  places,
  ring,
  slotBytes,
  direct,
  delayMs,
}: ReaderData): void {
  const window = new WindowWords(shared);
  const slots = Array.from({ length: shared.slots }, (_, i) => viewOf(handle, ring + i * slotBytes, slotBytes));
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let next = window.take(); next !== null; next = window.take()) {
    const { ticket, place } = next;
    // An expert's ticket is taken when its phase has begun, so nothing changes places any more.
    const tile = occupants[places[place]!]!;
    const { file, bytes } = tiles[tile]!;
    const slot = slots[place % shared.slots]!;
    if (delayMs > 0) Atomics.wait(pause, 0, 0, Math.random() * delayMs);
    for (;;) {
      try {
        window.setChecksum(tile, readTileFile(file, slot, bytes, window.checksum(tile), direct));
        window.arrived(ticket, bytes);
        break;
      } catch (thrown) {
        const { code, message } = toStarlingError(thrown);
        window.setChecksum(tile, null);
        parentPort?.postMessage({ reader, tile, code, message } satisfies ReadFailure);
        if (!window.awaitRepair(reader)) {
          window.fail(ticket);
          break;
        }
      }
    }
  }
}

read(workerData as ReaderData);
