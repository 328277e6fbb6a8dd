import { parentPort, workerData } from 'node:worker_threads';
import { type ArenaHandle, viewOf } from '../../kernels/arena.ts';
import type { Address } from '../../kernels/kernels.ts';
import { type ErrorCode, toStarlingError } from '../errors.ts';
import { readTileFile } from './read-tile-file.ts';
import { type WindowShared, WindowWords } from './window-words.ts';

/** A tile that passes through the ring. */
export interface StreamedTile {
  readonly file: string;
  /** Of the content. */
  readonly bytes: number;
}

/** What a reader is started with. */
export interface ReaderData {
  readonly reader: number;
  readonly handle: ArenaHandle;
  readonly shared: WindowShared;
  readonly tiles: readonly StreamedTile[];
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
  readonly place: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/** The life of a reader: take the next ticket, read its tile into its slot, again. */
function read({ reader, handle, shared, tiles, ring, slotBytes, direct, delayMs }: ReaderData): void {
  const window = new WindowWords(shared);
  const slots = Array.from({ length: shared.slots }, (_, i) => viewOf(handle, ring + i * slotBytes, slotBytes));
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let next = window.take(); next !== null; next = window.take()) {
    const { ticket, place } = next;
    const { file, bytes } = tiles[place]!;
    const slot = slots[place % shared.slots]!;
    if (delayMs > 0) Atomics.wait(pause, 0, 0, Math.random() * delayMs);
    for (;;) {
      try {
        window.setChecksum(place, readTileFile(file, slot, bytes, window.checksum(place), direct));
        window.arrived(ticket, bytes);
        break;
      } catch (thrown) {
        const { code, message } = toStarlingError(thrown);
        window.setChecksum(place, null);
        parentPort?.postMessage({ reader, place, code, message } satisfies ReadFailure);
        if (!window.awaitRepair(reader)) {
          window.fail(ticket);
          break;
        }
      }
    }
  }
}

read(workerData as ReaderData);
