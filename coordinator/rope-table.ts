import type { RopeSpec } from './model/spec.ts';

/**
 * Angles are taken in f64 and rounded once; the coordinator makes the table, so that all devices rotate with the same
 * bits.
 */
export class RopeTable {
  readonly width: number;
  readonly #frequencies: Float64Array;
  readonly #rope: RopeSpec;

  /** @param positions that a text may have */
  constructor(rope: RopeSpec, positions: number) {
    this.width = rope.width;
    this.#rope = rope;
    this.#frequencies = rope.long !== null && positions > rope.long.beyond ? rope.long.frequencies : rope.frequencies;
  }

  /** Writes `width` values: (cos, sin) of each pair; pairs that are not turned stay as they are (1, 0). */
  fill(position: number, into: Float32Array): void {
    const { scale, temperature } = this.#rope;
    const warmth =
      temperature === null ? 1 : 1 + temperature.scale * Math.log1p(Math.floor(position / temperature.every));
    for (let i = 0; i < this.width / 2; i++) {
      const isTurned = i < this.#frequencies.length;
      const angle = isTurned ? position * this.#frequencies[i]! : 0;
      const factor = isTurned ? scale * warmth : warmth;
      into[2 * i] = Math.cos(angle) * factor;
      into[2 * i + 1] = Math.sin(angle) * factor;
    }
  }
}
