import type { RopeSpec } from './model/spec.ts';

/**
 * Rotary position embedding (Su et al. 2021, "RoFormer", §3.2.2): pair i of a head turns by position · base^(−2i/dims), with
 * linear scaling of positions, Llama 3's scaling of frequencies, and a scale of the rotated. Angles are taken in f64 and rounded once; the coordinator makes
 * the table, so that all devices rotate with the same bits.
 */
export class RopeTable {
  readonly #frequencies: Float64Array;
  readonly #pairs: number;
  readonly #scale: number;

  constructor(rope: RopeSpec, headDim: number) {
    this.#pairs = headDim / 2;
    this.#scale = rope.scale;
    this.#frequencies = Float64Array.from({ length: rope.dims / 2 }, (_, i) => {
      const frequency = rope.base ** ((-2 * i) / rope.dims);
      return frequency / rope.linearFactor / (rope.factors?.[i] ?? 1);
    });
  }

  /** Writes headDim values: (cos, sin) of each pair; pairs beyond the rotated dimensions stay as they are (1, 0). */
  fill(position: number, into: Float32Array): void {
    for (let i = 0; i < this.#pairs; i++) {
      const angle = position * (this.#frequencies[i] ?? 0);
      const scale = i < this.#frequencies.length ? this.#scale : 1;
      into[2 * i] = Math.cos(angle) * scale;
      into[2 * i + 1] = Math.sin(angle) * scale;
    }
  }
}
