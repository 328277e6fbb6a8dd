import type { ExpertsSpec } from './engine-spec.ts';

/** Networks of a phase of experts: those that are routed to, and the shared one after them. */
export const networksOf = ({ experts, sharedFfDim }: ExpertsSpec): number => experts + (sharedFfDim > 0 ? 1 : 0);

/** Networks that each row uses. */
export const slotsOf = ({ used, sharedFfDim }: ExpertsSpec): number => used + (sharedFfDim > 0 ? 1 : 0);

/** Bytes of a row's routes: for each slot a network, u32, and the weight of what it gives, f32. */
export const routeBytes = (phase: ExpertsSpec): number => slotsOf(phase) * 8;

/**
 * Whether routes can be followed: networks that there are, none twice in a row, and weights that are finite.
 * @param routes of whole rows
 */
export function areRoutes(routes: Uint8Array, phase: ExpertsSpec): boolean {
  const view = new DataView(routes.buffer, routes.byteOffset, routes.length);
  const bytes = routeBytes(phase);
  if (routes.length % bytes !== 0) return false;
  for (let row = 0; row < routes.length; row += bytes) {
    const seen = new Set<number>();
    for (let slot = 0; slot < bytes; slot += 8) {
      const network = view.getUint32(row + slot, true);
      if (network >= networksOf(phase) || seen.has(network)) return false;
      if (!Number.isFinite(view.getFloat32(row + slot + 4, true))) return false;
      seen.add(network);
    }
  }
  return true;
}

/** Rows grouped by the networks that they use: those of network n are from `starts[n]` on, before `starts[n + 1]`. */
export interface RouteLists {
  readonly starts: Uint32Array;
  readonly rows: Uint32Array;
  readonly weights: Float32Array;
}

/**
 * Groups routes by network, rows in order.
 * @param routes u32 view of [row][slot] (network, bits of the weight)
 */
export function groupRoutes(
  routes: Uint32Array,
  count: number,
  phase: ExpertsSpec,
  { starts, rows, weights }: RouteLists,
): void {
  const slots = slotsOf(phase);
  const bits = new Float32Array(routes.buffer, routes.byteOffset, routes.length);
  const networks = networksOf(phase);
  starts.fill(0, 0, networks + 1);
  for (let i = 0; i < count * slots; i++) starts[routes[2 * i]! + 1]!++;
  for (let network = 0; network < networks; network++) starts[network + 1]! += starts[network]!;
  // Where the next row of a network goes: its end moves up to where the next one begins.
  const next = starts.slice(0, networks);
  for (let row = 0; row < count; row++) {
    for (let slot = 0; slot < slots; slot++) {
      const i = row * slots + slot;
      const at = next[routes[2 * i]!]!++;
      rows[at] = row;
      weights[at] = bits[2 * i + 1]!;
    }
  }
}
