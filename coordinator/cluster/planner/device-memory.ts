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
 * As the device itself will divide it.
 * @param tiles in the order in which they are computed
 * @returns the error where its memory is too small for them
 */
export function deviceMemory(
  device: PlannedDevice,
  spec: EngineSpec,
  tiles: readonly TileShape[],
): DeviceMemory | StarlingError {
  const { backend, threads, scratchBytes, profile } = device;
  try {
    const { plan, parts } = planMemory({
      ...profile.memory,
      ...{ spec, tiles, threads, scratchBytes, arenaBytes: arenaBytesOf(backend) },
    });
    const sum = (of: (tile: TileShape, place: number) => boolean): number =>
      tiles.reduce((bytes, tile, place) => bytes + (of(tile, place) ? tileBytes(tile) : 0), 0);
    const streamed = (place: number): boolean => plan.streamed > 0 && plan.stream[place] !== null;
    return {
      parts,
      tiles: tiles.length,
      streamedTiles: plan.streamed,
      bytes: sum(() => true),
      streamedBytes: plan.streamed === 0 ? 0 : sum(({ kind }, place) => kind !== 'expert' && streamed(place)),
      streamedExpertBytes: plan.streamed === 0 ? 0 : sum(({ kind }, place) => kind === 'expert' && streamed(place)),
    };
  } catch (error) {
    if (error instanceof StarlingError) return error;
    throw error;
  }
}
