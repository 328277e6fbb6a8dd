import { createHash, randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { SPARE_BYTES } from '../store/make-room.ts';
import type { TileStore } from '../store/tile-store.ts';

/** A file that the speed of a disk is measured with. */
export interface DiskFile {
  readonly file: string;
  readonly bytes: number;
}

export interface DiskFiles {
  readonly files: readonly DiskFile[];
  /** Removes what was made to be measured with. */
  remove(): Promise<void>;
}

/** So much of tiles that are there is enough; more than this is not read. */
const ENOUGH_BYTES = 64 * 2 ** 20;
const MOST_BYTES = 256 * 2 ** 20;
/** Longer ones are left out: memory is needed for each that is read. */
const LONGEST_FILE = 16 * 2 ** 20;
/** What is written where there are no tiles, for so long at most. */
const PIECE_BYTES = 2 * 2 ** 20;
const WRITE_MS = 700;
/** What such files stand under in the store while they are there: a model that there is not. */
const MODEL_NAME = 'measuring the disk';

/**
 * Files on the disk of a store: tiles where it has enough of them. Otherwise some are made of random bytes, as far as
 * the store's limit and the disk allow and it does not take long; no model is removed for them. Where nothing can be
 * written, as on a full disk, it is whatever tiles there are, or Node.js itself: no tile can come there anyway.
 */
export async function diskFiles(store: TileStore, now = (): number => performance.now()): Promise<DiskFiles> {
  const models = await store.list();
  for (const { modelId, name, inUse } of models) {
    // Left by a process that was killed.
    if (name === MODEL_NAME && !inUse) await store.removeModel(modelId).catch(() => {});
  }
  const tiles = await storedTiles(
    store,
    models.filter(({ name }) => name !== MODEL_NAME).map(({ modelId }) => modelId),
  );
  const nothingMade = { remove: async (): Promise<void> => {} };
  if (total(tiles) >= ENOUGH_BYTES) return { files: tiles, ...nothingMade };
  const stored = models.reduce((sum, { bytes }) => sum + bytes, 0);
  const room = Math.min(MOST_BYTES, store.limitBytes - stored, (await store.freeBytes()) - SPARE_BYTES);
  const made = await makeFiles(store, room, now);
  if (total(made.files) > total(tiles)) return made;
  await made.remove();
  return { files: tiles.length > 0 ? tiles : [await nodeItself()], ...nothingMade };
}

async function storedTiles(store: TileStore, models: readonly string[]): Promise<DiskFile[]> {
  const files: DiskFile[] = [];
  for (const modelId of models) {
    for (const { name, fileBytes } of await store.tiles(modelId)) {
      if (total(files) >= MOST_BYTES) return files;
      if (fileBytes <= LONGEST_FILE) files.push({ file: store.path(modelId, name), bytes: fileBytes });
    }
  }
  return files;
}

/** @param room bytes that may be written */
async function makeFiles(store: TileStore, room: number, now: () => number): Promise<DiskFiles> {
  const modelId = randomBytes(16).toString('hex');
  const files: DiskFile[] = [];
  let endUse = async (): Promise<void> => {};
  try {
    if (room >= PIECE_BYTES) endUse = await store.use(modelId, MODEL_NAME);
    for (const until = now() + WRITE_MS; (files.length + 1) * PIECE_BYTES <= room && now() < until; ) {
      const name = `piece-${files.length}`;
      const content = randomBytes(PIECE_BYTES);
      await store.write(modelId, name, content, createHash('sha256').update(content).digest());
      files.push({ file: store.path(modelId, name), bytes: PIECE_BYTES });
    }
  } catch {
    // A store that cannot be written: what was written so far is measured.
  }
  const remove = async (): Promise<void> => {
    await endUse().catch(() => {});
    await store.removeModel(modelId).catch(() => {});
  };
  return { files, remove };
}

/** The beginning of the program that runs. */
async function nodeItself(): Promise<DiskFile> {
  const { size } = await stat(process.execPath);
  return { file: process.execPath, bytes: Math.min(size, PIECE_BYTES) };
}

const total = (files: readonly DiskFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
