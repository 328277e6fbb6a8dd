import type { RopeSpec } from './model/spec.ts';

/** Angles are taken in f64 and rounded once; the coordinator makes the table, so that all devices rotate with the same bits. */
export class RopeTable {
  readonly width: number;
  readonly #frequencies: Float64Array;
  readonly #scale: number;

  constructor({ width, frequencies, scale }: RopeSpec) {
    this.width = width;
    this.#frequencies = frequencies;
    this.#scale = scale;
  }

  /** Writes `width` values: (cos, sin) of each pair; pairs that are not turned stay as they are (1, 0). */
  fill(position: number, into: Float32Array): void {
    for (let i = 0; i < this.width / 2; i++) {
      const angle = position * (this.#frequencies[i] ?? 0);
      const scale = i < this.#frequencies.length ? this.#scale : 1;
      into[2 * i] = Math.cos(angle) * scale;
      into[2 * i + 1] = Math.sin(angle) * scale;
    }
  }
}
