import { createHash } from 'node:crypto';
import type { TileShape } from '../../daemon/tile/tile.ts';
import type { Arena } from '../../kernels/arena.ts';
import { createArena, openKernels } from '../../kernels/create-kernels.ts';
import type { BackendName, Kernels } from '../../kernels/kernels.ts';
import type { OpenModel } from '../model/open-model.ts';
import { TileCutter } from './tile-cutter.ts';

/** A tile as it travels. */
export interface CutTile {
  readonly content: Uint8Array;
  readonly sha256: Uint8Array;
}

/** Cuts single tiles again while the model is computed, in little memory and one after the other. */
export class RepairCutter {
  readonly #model: OpenModel;
  readonly #backend: BackendName;
  #cutter: TileCutter | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(model: OpenModel, backend: BackendName) {
    this.#model = model;
    this.#backend = backend;
  }

  /** @throws StarlingError model_truncated, model_file_unreadable, model_file_changed, model_invalid */
  cut(tile: TileShape): Promise<CutTile> {
    const cut = this.#last.then(async () => {
      const content = Uint8Array.from(await this.#open().cut(tile));
      return { content, sha256: createHash('sha256').update(content).digest() };
    });
    this.#last = cut.catch(() => {});
    return cut;
  }

  #open(): TileCutter {
    if (this.#cutter === undefined) {
      const { gguf, spec, table } = this.#model;
      const arena = createArena(this.#backend, 4096);
      const open = (filled: Arena): Kernels => openKernels(filled.handle());
      this.#cutter = new TileCutter(gguf, spec, arena, open, table.tiles, 'banded');
    }
    return this.#cutter;
  }
}
