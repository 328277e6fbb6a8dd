import { createHash } from 'node:crypto';
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TRAILER_BYTES } from '../daemon/store/tile-file.ts';
import type { TileStore } from '../daemon/store/tile-store.ts';
import { type TileMatrix, type TileShape, tileLayout, tileName } from '../daemon/tile/tile.ts';
import { type Arena, SegmentArena } from '../kernels/arena.ts';
import { openKernels } from '../kernels/create-kernels.ts';
import { roundUp, sourceBytes, WEIGHT_FORMATS } from '../kernels/formats.ts';
import type { Kernels } from '../kernels/kernels.ts';
import { randomWeights } from './random-weights.ts';

/** Different contents of tiles of one shape: enough that a tile taken for its neighbour changes the result. */
const CONTENTS = 5;
/** Files being written at a time. */
const WRITERS = 8;

interface Content {
  readonly bytes: Uint8Array;
  readonly sha256: Uint8Array;
}

/**
 * Writes tiles of random weights straight to a store, without a model file to cut them from; those that are there stay.
 * @returns bytes written
 */
export async function writeSyntheticTiles(
  store: TileStore,
  modelId: string,
  tiles: readonly TileShape[],
): Promise<number> {
  const contents = new Map<string, Content[]>();
  const queue = tiles.entries();
  let written = 0;
  const writer = async (): Promise<void> => {
    for (const [i, tile] of queue) {
      const { bytes } = tileLayout(tile);
      if (await store.has(modelId, tileName(tile), bytes)) continue;
      const key = JSON.stringify(tile.matrices);
      const made = contents.get(key) ?? Array.from({ length: CONTENTS }, (_, seed) => randomTile(tile, seed + 1));
      contents.set(key, made);
      await writeTile(store.path(modelId, tileName(tile)), made[i % CONTENTS]!);
      written += bytes;
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  return written;
}

async function writeTile(file: string, { bytes, sha256 }: Content): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const part = `${file}.${process.pid}.0.tmp`;
  const handle = await open(part, 'w');
  try {
    await handle.writev([bytes, sha256]);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(part, file);
  if ((await stat(file)).size !== bytes.length + TRAILER_BYTES) throw new Error(`${file} was not written whole`);
}

function randomTile(tile: TileShape, seed: number): Content {
  const { matrices } = tile;
  const { offsets, bytes } = tileLayout(tile);
  const arena = new SegmentArena('native', 4096);
  const address = arena.alloc(bytes);
  const sources = matrices.map((matrix) => arena.alloc(sourceSize(matrix)));
  const kernels = openKernels(arena.handle());
  for (const [i, matrix] of matrices.entries()) {
    fillMatrix(arena, kernels, matrix, sources[i]!, address + offsets[i]!, seed * 16 + i);
  }
  const content = Uint8Array.from(arena.bytes(address, bytes));
  return { bytes: content, sha256: createHash('sha256').update(content).digest() };
}

const sourceCols = ({ format, cols }: TileMatrix): number => roundUp(cols, WEIGHT_FORMATS[format].sourceBlockValues);
/** Bytes from which `fillMatrix` makes a matrix. */
export const sourceSize = (matrix: TileMatrix): number => matrix.rows * sourceBytes(matrix.format, sourceCols(matrix));

/** Fills a matrix of a tile with random weights. @param source room of `sourceSize` */
export function fillMatrix(
  arena: Arena,
  kernels: Kernels,
  { format, rows, cols }: TileMatrix,
  source: number,
  out: number,
  seed: number,
): void {
  const padded = sourceCols({ format, rows, cols });
  const stride = sourceBytes(format, padded);
  // In memory of its own: filling takes a view that is aligned.
  const bytes = new Uint8Array(roundUp(rows * stride, 4));
  randomWeights(format, seed, 1 / Math.sqrt(cols))(bytes, 0);
  arena.bytes(source, rows * stride).set(bytes.subarray(0, rows * stride));
  if (!kernels.repack(format, source, stride, rows, padded, out, rows, padded)) {
    throw new Error(`random ${format} weights are not finite`);
  }
}
