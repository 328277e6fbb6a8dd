import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { openModel } from '../../../../coordinator/model/open-model.ts';
import { RepairCutter } from '../../../../coordinator/tiles/repair-cutter.ts';
import { TileCutter } from '../../../../coordinator/tiles/tile-cutter.ts';
import { tileName } from '../../../../daemon/tile/tile.ts';
import { createArena, openKernels } from '../../../../kernels/create-kernels.ts';
import { writeSyntheticModel } from '../../../../scripts/synthetic-model.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

for (const quant of ['Q4_0', 'Q6_K', 'F16'] as const) {
  test(`a tile that is cut again is the same, without a tensor in memory: ${quant}`, async (t) => {
    const path = join(temporaryFolder(t), 'model.gguf');
    // Wider than a band, so that a tensor takes several.
    const shape = {
      ...{ layers: 1, dim: 1024, heads: 8, kvHeads: 2, headDim: 128, ffDim: 2048, vocabSize: 512 },
      ...{ contextLength: 256, rmsEps: 1e-5, ropeBase: 10_000, ropeFactor: null, tied: false },
    };
    await writeSyntheticModel({ shape, quant, out: path });
    const model = await openModel(path);
    t.after(() => model.gguf.close());
    const { tiles } = model.table;
    const arena = createArena('reference');
    const cutter = new TileCutter(model.gguf, model.spec, arena, (filled) => openKernels(filled.handle()), tiles);
    const repairs = new RepairCutter(model, 'reference');
    // All at once: they are cut one after the other.
    const again = await Promise.all(tiles.map((tile) => repairs.cut(tile)));
    for (const [i, tile] of tiles.entries()) {
      const content = Buffer.from(await cutter.cut(tile));
      assert.ok(content.equals(again[i]!.content), tileName(tile));
      assert.deepEqual(Buffer.from(again[i]!.sha256), createHash('sha256').update(content).digest());
    }
  });
}
