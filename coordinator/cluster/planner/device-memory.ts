import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import { arenaBytesOf, type MemoryParts, planMemory } from '../../../daemon/engine/memory-plan.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { type TileShape, tileBytes } from '../../../daemon/tile/tile.ts';
import type { PlannedDevice } from './planned-device.ts';

/** How a device would divide its memory for a share. */
export interface DeviceMemory {
  readonly parts: MemoryParts;
  readonly tiles: number;
  readonly streamedTiles: number;
  /** Content of all tiles; and of those that are read in every pass, and of experts that are read where one is used. */
  readonly bytes: number;
  readonly streamedBytes: number;
  readonly streamedExpertBytes: number;
}

/**
 * As the device itself will divide it; one without tiles has no engine.
 * @param tiles in the order in which they are computed
 * @param sizes their bytes
 * @returns the error where its memory is too small for them
 */
export function deviceMemory(
  device: PlannedDevice,
  spec: EngineSpec,
  tiles: readonly TileShape[],
  sizes: readonly number[] = tiles.map(tileBytes),
): DeviceMemory | StarlingError {
  const { backend, threads, scratchBytes, profile } = device;
  if (tiles.length === 0) return withoutTiles(device);
  try {
    const { plan, parts } = planMemory({
      ...profile.memory,
      ...{ spec, tiles, sizes, threads, scratchBytes, arenaBytes: arenaBytesOf(backend) },
    });
    const ofExperts = tiles.reduce(
      (sum, { kind }, i) => sum + (kind === 'expert' && plan.stream[i] !== null ? sizes[i]! : 0),
      0,
    );
    return {
      parts,
      tiles: tiles.length,
      streamedTiles: plan.streamed,
      bytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
      streamedBytes: plan.streamedBytes - ofExperts,
      streamedExpertBytes: ofExperts,
    };
  } catch (error) {
    if (error instanceof StarlingError) return error;
    throw error;
  }
}

const withoutTiles = ({ profile: { memory } }: PlannedDevice): DeviceMemory => ({
  parts: { budget: memory.budget, base: memory.base, threads: 0, caches: 0, buffers: 0, pinned: 0, window: 0 },
  ...{ tiles: 0, streamedTiles: 0, bytes: 0, streamedBytes: 0, streamedExpertBytes: 0 },
});
