import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deviceMemory } from '../../../../../coordinator/cluster/planner/device-memory.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { tileBytes } from '../../../../../daemon/tile/tile.ts';
import { MODEL_SHAPES } from '../../../../../scripts/model-shapes.ts';
import { device, plannedModel } from '../../../../fixtures/planning-cases.ts';

const { tiles, engine } = plannedModel(MODEL_SHAPES['tinyllama-1.1b']);
const spec = { ...engine, kvPages: 1 };
const bytes = tiles.reduce((sum, tile) => sum + tileBytes(tile), 0);

describe("a share's memory", () => {
  it('is tiles only where all of them fit', () => {
    const memory = deviceMemory(device('a'), spec, tiles);
    assert.ok(!(memory instanceof StarlingError));
    assert.deepEqual([memory.tiles, memory.streamedTiles, memory.bytes], [tiles.length, 0, bytes]);
    assert.deepEqual([memory.streamedBytes, memory.streamedExpertBytes], [0, 0]);
  });

  it('is a window beside what stays, where they do not, and what is read then', () => {
    const memory = deviceMemory(device('a', { memory: bytes / 2 }), spec, tiles);
    assert.ok(!(memory instanceof StarlingError));
    const { parts, streamedBytes, streamedTiles } = memory;
    assert.ok(streamedTiles > 0 && parts.window > 0);
    assert.ok(parts.base + parts.threads + parts.caches + parts.buffers + parts.pinned + parts.window <= bytes / 2);
    assert.ok(streamedBytes >= bytes - bytes / 2 && streamedBytes < bytes);
  });

  it('tells what is read of experts from what is read in every pass', () => {
    const some = tiles.map((tile) => (tile.kind === 'ffn' ? { ...tile, kind: 'expert' as const } : tile));
    const experts = engine.layers.map(([attention]) => [
      attention!,
      {
        ...{ kind: 'experts' as const, input: 'q8' as const, tiles: 1, experts: 4, used: 1, ffDim: 1408 },
        ...{ sharedFfDim: 0, activation: 'silu' as const, biased: false },
      },
    ]);
    const memory = deviceMemory(device('a', { memory: bytes * 0.7 }), { ...spec, layers: experts }, some);
    assert.ok(!(memory instanceof StarlingError));
    assert.equal(memory.streamedBytes, 0);
    assert.ok(memory.streamedExpertBytes > bytes * 0.3);
  });

  it('is an error that says how much would do, where it is too small', () => {
    const memory = deviceMemory(device('a', { memory: 1e6 }), spec, tiles);
    assert.ok(memory instanceof StarlingError);
    assert.equal(memory.code, 'memory_too_small');
    assert.match(memory.message, /--memory \d+MB/);
  });

  it('is none without tiles, however little there is', () => {
    const memory = deviceMemory(device('a', { memory: 0 }), spec, []);
    assert.ok(!(memory instanceof StarlingError));
    assert.deepEqual([memory.tiles, memory.parts.buffers, memory.parts.threads], [0, 0, 0]);
  });
});
