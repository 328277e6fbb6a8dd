import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../atomic-file.ts';
import { fileError, StarlingError } from '../errors.ts';
import { type LifeSign, lives, removeDeadSigns, SharedLifeSign } from '../life-sign.ts';
import { makeFolder } from '../make-folder.ts';
import { systemCode } from '../system-error.ts';
import { cleanModelFolder, type ModelFolderFacts, markInUse, modelFolderFacts } from './model-folder.ts';
import { SharedSync } from './shared-sync.ts';
import { hashOf, readVerified, TRAILER_BYTES, writeAll } from './tile-file.ts';

export interface StoredModel extends ModelFolderFacts {
  readonly modelId: string;
  readonly tiles: number;
  /** Of the files, trailers included. */
  readonly bytes: number;
}

export interface TileStoreOptions {
  /** How a new file is opened; a test hands in a full disk. */
  readonly create?: (file: string) => Promise<FileHandle>;
  /** Most bytes of all models together. */
  readonly limitBytes?: number;
}

const MODEL_ID = /^[0-9a-f]{32}$/;
const NAME = /^[a-z0-9][a-z0-9-]{0,95}$/;
const SUFFIX = '.tile';
/** A file that may not be there: these codes say so. */
const ABSENT = ['ENOENT', 'ENOTDIR'];
/** The store is another's, or on a medium that cannot be written. */
const READ_ONLY = ['EROFS', 'EACCES', 'EPERM'];

/** Tiles on disk: a folder a model, a file a tile, which is the content and then its SHA-256. */
export class TileStore {
  /** Where the tiles are. */
  readonly folder: string;
  /** Most bytes of all models together. */
  readonly limitBytes: number;
  readonly #create: (file: string) => Promise<FileHandle>;
  readonly #life: SharedLifeSign;
  /** By folder. */
  readonly #syncs = new Map<string, SharedSync>();

  constructor(dir: string, options: TileStoreOptions = {}) {
    this.folder = dir;
    this.limitBytes = options.limitBytes ?? Number.POSITIVE_INFINITY;
    this.#life = new SharedLifeSign(dir);
    this.#create = options.create ?? ((file) => open(file, 'wx', 0o644));
  }

  /**
   * The file of a tile, whether it exists or not.
   * @throws StarlingError protocol_invalid_message for names that could lead elsewhere
   */
  path(modelId: string, name: string): string {
    if (!NAME.test(name)) {
      throw new StarlingError('protocol_invalid_message', `${JSON.stringify(name.slice(0, 100))} is no name of a tile`);
    }
    return join(this.#folder(modelId), name + SUFFIX);
  }

  /** Whether the tile is there with exactly `bytes` bytes of content. Reads nothing: `read` verifies. */
  async has(modelId: string, name: string, bytes: number): Promise<boolean> {
    const file = this.path(modelId, name);
    try {
      const found = await stat(file);
      return found.isFile() && found.size === bytes + TRAILER_BYTES;
    } catch (thrown) {
      if (ABSENT.includes(systemCode(thrown) ?? '')) return false;
      throw fileError(thrown, 'look at', file);
    }
  }

  /**
   * Stores a tile so that it is there whole and verified, or not at all; one that exists is replaced.
   * @param content stays as it is until this settles
   * @param sha256 32 bytes, the hash that the sender announced
   * @throws StarlingError tile_damaged when the content does not match; disk_full; store_failed
   */
  async write(modelId: string, name: string, content: Uint8Array, sha256: Uint8Array): Promise<void> {
    const file = this.path(modelId, name);
    const hash = hashOf(content);
    if (!hash.equals(sha256)) {
      throw new StarlingError(
        'tile_damaged',
        `tile ${name} of model ${modelId} arrived damaged; it has to be sent again`,
      );
    }
    let life: LifeSign | undefined;
    let temporary: string | undefined;
    try {
      life = await this.#hold();
      temporary = `${file}.${life.id}.${randomBytes(4).toString('hex')}.tmp`;
      const handle = await this.#createIn(this.#folder(modelId), temporary);
      try {
        await writeAll(handle, content, 0);
        await writeAll(handle, hash, content.length);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, file);
      await this.#syncFolder(this.#folder(modelId));
    } catch (thrown) {
      if (temporary !== undefined) await rm(temporary, { force: true }).catch(() => {});
      throw fileError(thrown, 'write', file);
    } finally {
      await life?.remove();
    }
  }

  /**
   * Reads a tile of exactly `into.length` bytes and verifies it. A damaged file is removed, so that the tile counts as
   * missing and is fetched again; what `into` then holds is undefined.
   * @param into may be shared memory
   * @throws StarlingError tile_missing, tile_damaged, store_failed
   */
  async read(modelId: string, name: string, into: Uint8Array): Promise<void> {
    const file = this.path(modelId, name);
    let damage: string | null;
    try {
      const handle = await open(file, 'r');
      try {
        damage = await readVerified(handle, into);
      } finally {
        await handle.close();
      }
    } catch (thrown) {
      if (ABSENT.includes(systemCode(thrown) ?? '')) {
        throw new StarlingError('tile_missing', `tile ${name} of model ${modelId} is not in the store (${file})`);
      }
      throw fileError(thrown, 'read', file);
    }
    if (damage === null) return;
    await this.discard(modelId, name);
    throw new StarlingError(
      'tile_damaged',
      `${file} is damaged (${damage}) and was removed; the tile is fetched again`,
    );
  }

  /** Removes a tile, which then counts as missing. */
  async discard(modelId: string, name: string): Promise<void> {
    await rm(this.path(modelId, name), { force: true }).catch(() => {});
  }

  /**
   * Announces that this process computes with a model: it is then not removed to make room, and counts as used now. In
   * a store that cannot be written, a model that is there is used without: nobody removes it there.
   * @param modelName what people call it
   * @returns ends the use
   * @throws StarlingError disk_full, store_failed
   */
  async use(modelId: string, modelName: string): Promise<() => Promise<void>> {
    const folder = this.#folder(modelId);
    let life: LifeSign | undefined;
    try {
      life = await this.#hold();
      const { id, remove } = life;
      const unmark = await markInUse(folder, modelName, id);
      return async () => {
        try {
          await unmark();
          await remove();
        } catch (thrown) {
          // On a disk that became read-only the mark stays, and counts for nothing once this process is gone.
          if (!READ_ONLY.includes(systemCode(thrown) ?? '')) throw fileError(thrown, 'write to', folder);
        }
      };
    } catch (thrown) {
      await life?.remove();
      const readOnly = READ_ONLY.includes(systemCode(thrown) ?? '');
      if (readOnly && (await this.#names(modelId)).length > 0) return async () => {};
      throw fileError(thrown, 'write to', folder);
    }
  }

  /** The tiles of a model: name and size of each file. @throws StarlingError store_failed */
  async tiles(modelId: string): Promise<{ readonly name: string; readonly fileBytes: number }[]> {
    const tiles: { name: string; fileBytes: number }[] = [];
    for (const entry of await this.#names(modelId)) {
      if (!entry.endsWith(SUFFIX)) continue;
      // a tile may go while they are counted
      const found = await stat(join(this.#folder(modelId), entry)).catch(() => null);
      if (found !== null) tiles.push({ name: entry.slice(0, -SUFFIX.length), fileBytes: found.size });
    }
    return tiles;
  }

  /** The models of which there are tiles, in the order of their ids. @throws StarlingError store_failed */
  async list(): Promise<StoredModel[]> {
    const models: StoredModel[] = [];
    for (const modelId of await this.#models()) {
      const tiles = await this.tiles(modelId);
      const bytes = tiles.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
      const facts = await modelFolderFacts(this.#folder(modelId), this.#isAlive).catch(() => null);
      if (facts !== null) models.push({ modelId, ...facts, tiles: tiles.length, bytes });
    }
    return models;
  }

  /** Bytes that may still be written, where the system tells. */
  async freeBytes(): Promise<number> {
    // The folder may not be there yet.
    const found = await statfs(this.folder).catch(() => null);
    return found === null ? Number.POSITIVE_INFINITY : found.bavail * found.bsize;
  }

  /** Removes all tiles of a model; one that is not there is no error. @throws StarlingError store_failed */
  async removeModel(modelId: string): Promise<void> {
    const folder = this.#folder(modelId);
    try {
      await rm(folder, { recursive: true, force: true });
    } catch (thrown) {
      throw fileError(thrown, 'remove', folder);
    }
  }

  /**
   * Removes what processes left that are gone: half-written files, marks of use and life signs; to be called at start.
   * In a store that cannot be written everything stays.
   * @returns how many half-written files were removed
   * @throws StarlingError store_failed
   */
  async cleanTemporary(): Promise<number> {
    let removed = 0;
    for (const modelId of await this.#models()) {
      await this.#clean(async () => {
        removed += await cleanModelFolder(this.#folder(modelId), this.#isAlive);
      });
    }
    // Last, as they tell whose the others are.
    await this.#clean(() => removeDeadSigns(this.folder));
    return removed;
  }

  async #clean(clean: () => Promise<void>): Promise<void> {
    try {
      await clean();
    } catch (thrown) {
      // A model may be removed meanwhile.
      if (![...READ_ONLY, ...ABSENT].includes(systemCode(thrown) ?? '')) throw fileError(thrown, 'clean', this.folder);
    }
  }

  async #hold(): Promise<LifeSign> {
    await makeFolder(this.folder);
    return this.#life.hold();
  }

  readonly #isAlive = (owner: string): Promise<boolean> => lives(this.folder, owner);

  /** Creates a file, and its folder where that is missing. */
  async #createIn(folder: string, file: string): Promise<FileHandle> {
    try {
      return await this.#create(file);
    } catch (thrown) {
      if (systemCode(thrown) !== 'ENOENT') throw thrown;
      await makeFolder(folder);
      return this.#create(file);
    }
  }

  #syncFolder(folder: string): Promise<void> {
    const sync = this.#syncs.get(folder) ?? new SharedSync(() => syncFolder(folder));
    this.#syncs.set(folder, sync);
    return sync.run();
  }

  #folder(modelId: string): string {
    if (!MODEL_ID.test(modelId)) {
      throw new StarlingError(
        'protocol_invalid_message',
        `${JSON.stringify(modelId.slice(0, 100))} is no id of a model`,
      );
    }
    return join(this.folder, modelId);
  }

  async #models(): Promise<string[]> {
    return (await this.#entries(this.folder)).filter((name) => MODEL_ID.test(name)).sort();
  }

  #names(modelId: string): Promise<string[]> {
    return this.#entries(this.#folder(modelId));
  }

  async #entries(folder: string): Promise<string[]> {
    try {
      return await readdir(folder);
    } catch (thrown) {
      if (ABSENT.includes(systemCode(thrown) ?? '')) return [];
      throw fileError(thrown, 'list', folder);
    }
  }
}
