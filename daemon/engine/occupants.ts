/**
 * Which tile lies at which place: its own, until one of an expert that is read changes places with one that is in
 * memory. Tiles of one phase and size do, so that a place is prepared, and claimed, whichever of them it holds. All
 * threads share this; the one that drives them changes it between two jobs.
 */
export interface Occupants {
  /** By place: the tile's number in execution order. */
  readonly tiles: Int32Array;
  /** By place: the place at which the tile is left when it has been computed, or STAYS. */
  readonly moves: Int32Array;
}

export const STAYS = -1;

export function createOccupants(count: number): Occupants {
  const shared = (): Int32Array => new Int32Array(new SharedArrayBuffer(count * 4));
  const tiles = shared();
  for (let place = 0; place < count; place++) tiles[place] = place;
  return { tiles, moves: shared().fill(STAYS) };
}
