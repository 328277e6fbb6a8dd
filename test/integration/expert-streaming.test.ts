import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { WHOLE_STEPS } from '../../coordinator/cluster/overlap.ts';
import { ForwardPass } from '../../coordinator/forward-pass.ts';
import { openModel } from '../../coordinator/model/open-model.ts';
import { residualBytes } from '../../coordinator/residual-stream.ts';
import { RepairCutter } from '../../coordinator/tiles/repair-cutter.ts';
import { engineSpec } from '../../coordinator/tiles/tile-table.ts';
import { Engine } from '../../daemon/engine/engine.ts';
import type { ExpertsSpec } from '../../daemon/engine/engine-spec.ts';
import { tilesOf } from '../../daemon/engine/layout.ts';
import { TileStore } from '../../daemon/store/tile-store.ts';
import { networkOf } from '../../daemon/tile/kinds/expert.ts';
import { type TileShape, tileLayout, tileName } from '../../daemon/tile/tile.ts';
import { bestBackend } from '../../kernels/create-kernels.ts';
import { writeArchitectureModel } from '../../scripts/architectures/architecture-model.ts';
import { ARCHITECTURE_MODELS } from '../../scripts/architectures/models.ts';
import { Random } from '../fixtures/random.ts';
import { SplitAllreduce } from '../fixtures/split-model.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const TOKENS = 40;

test('experts that are streamed are read only where rows use them, hot ones come to stay, and bits are the same', async (t) => {
  const like = ARCHITECTURE_MODELS.find(({ name }) => name === 'qwen2moe')!;
  const path = join(temporaryFolder(t), 'model.gguf');
  await writeArchitectureModel(path, like, like.type, 1);
  const model = await openModel(path);
  t.after(() => model.gguf.close());
  const store = new TileStore(temporaryFolder(t));
  const cutter = new RepairCutter(model, bestBackend());
  const random = new Random(3);
  // The same few again and again, as a text keeps to its subject.
  const subject = Array.from({ length: 4 }, () => random.between(0, model.spec.vocabSize - 1));
  const tokens = Array.from({ length: TOKENS }, (_, i) => subject[i % subject.length]!);
  const spec = engineSpec(model.table, TOKENS, 'f16');

  /** Tiles that were damaged, and brought back when they were read. */
  const mended: string[] = [];
  const put = async (tile: TileShape): Promise<void> => {
    const { content, sha256 } = await cutter.cut(tile);
    await store.write(model.id, tileName(tile), content, sha256);
  };

  const compute = async (budget: number, threads: number) => {
    const engine = await Engine.create({
      ...{ spec, tiles: model.table.tiles, backend: bestBackend(), threads },
      memory: { budget, base: 0, threadBytes: 0 },
      load: async (tile, into) => store.read(model.id, tileName(tile), into),
      fileOf: (tile) => store.path(model.id, tileName(tile)),
      repair: async (tile, { code }) => {
        mended.push(`${code} ${tileName(tile)}`);
        await put(tile);
      },
      readDelayMs: 1,
      scratchBytes: residualBytes(model.spec, spec.cols),
    });
    const used = new Set<string>();
    const routes: number[] = [];
    const allreduce = new SplitAllreduce([engine], (layer, phase, rows) => {
      const experts = spec.layers[layer]![phase]!;
      if (experts.kind !== 'experts') return;
      used.clear();
      const bytes = engine.routes(experts, rows);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let at = 0; at < bytes.length; at += 8) used.add(`${layer}/${view.getUint32(at, true)}`);
      routes.push(bytesOf(used, layer, experts));
    });
    const forward = new ForwardPass({
      ...{ engine, allreduce, model: model.spec, weights: model, contextLength: TOKENS, overlap: WHOLE_STEPS },
    });
    const placed = engine.layout.tasks.flat(2);
    const streamed = placed.filter(({ stream }) => stream !== null);
    const all = tilesOf(engine.layout).map(({ shape }) => shape);
    const bytesOf = (networks: ReadonlySet<string>, layer: number, experts: ExpertsSpec): number =>
      streamed
        .map(({ place }) => all[engine.layout.occupants.tiles[place]!]!)
        .filter((tile) => tile.kind === 'expert' && tile.layer === layer)
        .filter(({ first }) => networks.has(`${layer}/${networkOf(experts, first)}`))
        .reduce((sum, tile) => sum + tileLayout(tile).bytes, 0);
    if (streamed.length > 0) {
      for (const { shape, stream } of placed) {
        if (shape.kind === 'expert' && stream === null)
          await writeFile(store.path(model.id, tileName(shape)), 'damaged');
      }
    }
    const logits: Buffer[] = [];
    const steps: { read: number; routed: number }[] = [];
    for (const [position, token] of tokens.entries()) {
      const before = engine.usage.bytesRead;
      routes.length = 0;
      const [row] = await forward.step([{ tokens: [token], position, pages: [0], logits: 1 }]);
      logits.push(Buffer.from(Uint8Array.from(new Uint8Array(row!.buffer, row!.byteOffset, row!.byteLength))));
      steps.push({ read: engine.usage.bytesRead - before, routed: routes.reduce((sum, bytes) => sum + bytes, 0) });
    }
    const others = streamed.filter(({ shape }) => shape.kind !== 'expert').length;
    const streamedBytes = streamed.reduce((sum, { shape }) => sum + tileLayout(shape).bytes, 0);
    const { memory } = engine;
    await engine.stop();
    return { logits: Buffer.concat(logits), steps, streamed: streamed.length, others, streamedBytes, memory };
  };

  for (const tile of model.table.tiles) await put(tile);
  const resident = await compute(2e9, 1);
  assert.equal(resident.streamed, 0);
  const { memory } = resident;
  const expertBytes = model.table.tiles
    .filter(({ kind }) => kind === 'expert')
    .reduce((sum, tile) => sum + tileLayout(tile).bytes, 0);
  const needed = memory.pinned + memory.caches + memory.buffers;
  const small = await compute(Math.round(needed - 0.6 * expertBytes), 2);
  assert.ok(small.streamed > 0);
  assert.equal(small.others, 0, 'what every token uses stays in memory');
  assert.ok(small.logits.equals(resident.logits));
  for (const [i, { read, routed }] of small.steps.entries()) {
    assert.equal(read, routed, `token ${i}`);
    assert.ok(routed < small.streamedBytes / 2, `${routed} of ${small.streamedBytes}`);
  }
  const readBy = (steps: typeof small.steps): number => steps.reduce((sum, { read }) => sum + read, 0);
  const [first, last] = [readBy(small.steps.slice(0, 4)), readBy(small.steps.slice(-4))];
  t.diagnostic(`${first} bytes were read for the first four tokens, ${last} for the last`);
  assert.ok(last < 0.7 * first);
  assert.ok(mended.length > 0, 'what was in memory at first was read later');
  assert.equal(new Set(mended).size, mended.length);
});
