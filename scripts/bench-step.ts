import { TileComputer } from '../daemon/engine/compute-tile.ts';
import type { EngineLayout, PlacedTile } from '../daemon/engine/layout.ts';
import type { ArenaHandle } from '../kernels/arena.ts';
import { activationBytes, panelBytes } from '../kernels/formats.ts';
import type { Address, Kernels } from '../kernels/kernels.ts';

/** A thread's part of every kernel of a step, on an engine's layout; structured-cloneable. */
export interface StepWork {
  readonly op: 'step';
  readonly layout: EngineLayout;
  readonly thread: number;
  readonly threads: number;
  readonly rows: number;
  /**
   * What lies between phases: f32 [rows][cols] of the residual, the norm's weights, and room for the normed rows: f32,
   * q8 and a panel.
   */
  readonly residual: Address;
  readonly weight: Address;
  readonly normed: Address;
  readonly quantized: Address;
  readonly panel: Address;
}

const EPS = 1e-5;

/** Makes a step ready. @returns what computes it; it says false when a kernel refuses its input */
export function prepareStep(kernels: Kernels, handle: ArenaHandle, work: StepWork): () => boolean {
  const { layout, thread, threads } = work;
  const computer = new TileComputer(kernels, handle, layout, layout.threads[thread]!);
  // In turn, as threads take tiles.
  const mine = (tiles: readonly PlacedTile[]): PlacedTile[] => tiles.filter((_, i) => i % threads === thread);
  const phases = layout.tasks.flat().map(mine);
  const head = mine(layout.headTasks);
  const rows = { first: 0, count: work.rows };
  const compute = (tiles: readonly PlacedTile[]): boolean => {
    let fresh = true;
    for (const tile of tiles) {
      if (!computer.compute(tile.place, rows, fresh, () => {})) return false;
      if (tile.shape.kind !== 'kv') fresh = false;
    }
    return true;
  };
  return () => phases.every((tiles) => compute(tiles) && between(kernels, work)) && compute(head);
}

/** A thread's share of the rows: both threads' sums into the residual, the norm, and the input of the next phase. */
function between(kernels: Kernels, { layout, thread, threads, rows, ...at }: StepWork): boolean {
  const { cols } = layout.spec;
  const from = Math.floor((rows * thread) / threads);
  const count = Math.floor((rows * (thread + 1)) / threads) - from;
  if (count === 0) return true;
  const { sums } = layout.threads[thread]!;
  const own = sums + from * cols * 8;
  for (let other = 0; other < threads; other++) {
    if (other !== thread) kernels.addSums(own, layout.threads[other]!.sums + from * cols * 8, count * cols);
  }
  const x = at.residual + from * cols * 4;
  const normed = at.normed + from * cols * 4;
  const stride = activationBytes('q8', cols);
  const quantized = at.quantized + from * stride;
  kernels.residual(x, own, count * cols);
  kernels.rmsnorm(x, cols * 4, at.weight, cols, cols, count, EPS, normed, cols * 4);
  if (!kernels.quantize(normed, cols * 4, cols, count, quantized, stride)) return false;
  // Where products do not look: their input stays as it is.
  kernels.packPanel('q8', quantized, stride, cols, count, at.panel + panelBytes('q8', cols, from));
  return true;
}
