import { activationBytes, type WeightFormat } from '../../kernels/formats.ts';
import type { Engine } from '../engine/engine.ts';
import { inputFormat, MAX_ROWS, ropeValues } from '../engine/engine-spec.ts';
import { tileLayout } from '../tile/tile.ts';
import type { DeviceProfile, Rates } from './device-profile.ts';
import { meanTime } from './mean-time.ts';
import { type Compute, withSyntheticEngine } from './synthetic-engine.ts';
import { ATTENDED_BYTES, attentionLayers, NARROW, PAGES, POSITIONS, WIDE, weightLayers } from './synthetic-model.ts';

export interface MeasureEngineOptions extends Compute {
  readonly signal?: AbortSignal | undefined;
}

/** Means are taken over so many milliseconds: a control group's quota is given out every 100. */
const LEAST_MS = 150;
/** Of attention before it has anything to attend to, which is a small part of it. */
const LEAST_BASE_MS = 60;
/** Many rows at once are not computed for longer than this at a time. */
const MOST_WIDE_MS = 1000;

/** Tiles of each of the three parts that weights are measured in: 60 MiB in all, and less where memory is scarce. */
const PART_TILES = [10, 5, 2, 1] as const;
/** A part of a time that is left out is no larger share of it, although it was measured so: others were at work then. */
const MOST_PHASE = 1 / 4;
const MOST_BASE = 1 / 2;
/** Attention tiles of a layer, each of 512 KiB of cache, and layers of them; and layers of a tile alone. */
const ATTENTION_TILES = 16;
const ATTENTION_LAYERS = 3;
const LONE_LAYERS = 8;

/**
 * Measures how fast weights are computed with. Of the tiles, a third are layers of one each, which are gone through by
 * turns, so that they come from memory; the others are two layers.
 * @param phaseMs what a phase takes beside its tiles
 * @throws StarlingError memory_too_small; cancelled by the signal
 */
export async function measureFormat(
  format: WeightFormat,
  phaseMs: number,
  options: MeasureEngineOptions,
): Promise<Rates> {
  const models = PART_TILES.map((part) => {
    // At least one for each thread, unless there is no room for them.
    const many = part === PART_TILES[0] ? Math.max(part, options.threads) : part;
    return weightLayers(format, WIDE, [...Array<number>(part).fill(1), many, many]);
  });
  models.push(weightLayers(format, NARROW, [1, 1, 1]));
  return withSyntheticEngine(options, models, async (engine) => {
    const { tasks } = engine.layout;
    const [lone, all] = [tasks.length - 2, 2];
    const bytesOf = (layer: number): number =>
      tasks[layer]!.flat().reduce((sum, { shape }) => sum + tileLayout(shape).bytes, 0);
    const rate = (layer: number, ms: number): number => bytesOf(layer) / without(ms, phaseMs, MOST_PHASE);
    const { signal } = options;
    beginRows(engine, MAX_ROWS);
    const loneMs = await meanTime(byTurns(engine, 0, lone, 1), { leastMs: LEAST_MS, signal });
    const allMs = await meanTime(byTurns(engine, lone, all, 1), { leastMs: LEAST_MS, signal });
    const wideMs = await wide(allMs, (rows) => byTurns(engine, lone, all, rows), LEAST_MS, signal);
    return { lone: rate(0, loneMs), all: rate(lone, allMs), wide: rate(lone, wideMs) };
  });
}

/**
 * Measures how fast rows attend to what is cached as f16, and what a phase takes beside its tiles: its input is put in
 * its place, threads are woken, and its sums packed. Of attention, what it takes with little cached is left out, and
 * bytes count once for each tile that reads them, however many rows of a sequence do.
 * @throws StarlingError memory_too_small; cancelled by the signal
 */
export async function measureAttention(
  options: MeasureEngineOptions,
): Promise<Pick<DeviceProfile, 'attention' | 'phaseMs'>> {
  const { threads, signal } = options;
  const models = [1, 2, 4, 8].map((part) => {
    const many = part === 1 ? Math.max(ATTENTION_TILES, threads) : ATTENTION_TILES / part;
    const layers = part === 1 ? ATTENTION_LAYERS : 1;
    return attentionLayers(
      [...Array<number>(LONE_LAYERS / part).fill(1), ...Array<number>(layers).fill(many)],
      threads,
    );
  });
  return withSyntheticEngine(options, models, async (engine) => {
    const { tasks } = engine.layout;
    const tilesIn = (layer: number): number => tasks[layer]!.flat().filter(({ shape }) => shape.kind !== 'kv').length;
    const tiny = tasks.length - 1;
    const lone = tasks.findIndex((_, layer) => tilesIn(layer) > 1);
    const all = tiny - lone;
    const rate = async (
      layer: number,
      rows: number,
      measure: (leastMs: number) => Promise<number>,
    ): Promise<number> => {
      beginRows(engine, rows, POSITIONS - rows);
      const ms = await measure(LEAST_MS);
      beginRows(engine, rows);
      return (tilesIn(layer) * ATTENDED_BYTES) / without(ms, await measure(LEAST_BASE_MS), MOST_BASE);
    };
    let allMs = 0;
    const attention = {
      lone: await rate(0, 1, (leastMs) => meanTime(byTurns(engine, 0, lone, 1), { leastMs, signal })),
      all: await rate(lone, 1, async (leastMs) => {
        const ms = await meanTime(byTurns(engine, lone, all, 1), { leastMs, signal });
        allMs = Math.max(allMs, ms);
        return ms;
      }),
      wide: await rate(lone, MAX_ROWS, (leastMs) =>
        wide(allMs, (rows) => byTurns(engine, lone, all, rows), leastMs, signal),
      ),
    };
    return { attention, phaseMs: await measurePhase(engine, tiny, signal) };
  });
}

/** A phase as a device computes it for a coordinator, of tiles that take next to nothing. */
function measurePhase(engine: Engine, layer: number, signal: AbortSignal | undefined): Promise<number> {
  const input = new Uint8Array(activationBytes(inputFormat(engine.spec, layer, 0), engine.spec.cols));
  const rows = { first: 0, count: 1 };
  beginRows(engine, 1);
  return meanTime(
    async () => {
      engine.setInput(layer, 0, rows, input);
      engine.packedSums(await engine.run(layer, 0, rows), 1);
    },
    { leastMs: LEAST_MS, signal },
  );
}

const without = (ms: number, part: number, most: number): number => ms - Math.min(part, ms * most);

/**
 * The time that MAX_ROWS rows take. Where that would be very long, a part of them is measured: each takes as long.
 * @param oneMs the time of one row
 */
async function wide(
  oneMs: number,
  work: (rows: number) => () => Promise<void>,
  leastMs: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let rows = MAX_ROWS;
  while (rows > 1 && rows * oneMs > MOST_WIDE_MS) rows /= 2;
  return ((await meanTime(work(rows), { leastMs, signal })) * MAX_ROWS) / rows;
}

/** Computes a phase of the next of some layers whenever it is called. */
function byTurns(engine: Engine, first: number, layers: number, rows: number): () => Promise<void> {
  let turn = 0;
  return async () => {
    await engine.run(first + (turn++ % layers), 0, { first: 0, count: rows });
  };
}

/** Begins a step whose rows are positions of one sequence, from `first` on. */
function beginRows(engine: Engine, rows: number, first = 0): void {
  engine.beginStep({
    positions: Uint32Array.from({ length: rows }, (_, row) => first + row),
    sequences: new Uint16Array(rows),
    pages: [Uint32Array.from({ length: PAGES }, (_, page) => page)],
    rope: new Float32Array(rows * ropeValues(engine.spec)),
  });
}
