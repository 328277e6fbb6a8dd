/** The sizes of a llama model, as its metadata states them. */
export interface ModelShape {
  readonly layers: number;
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffDim: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly rmsEps: number;
  readonly ropeBase: number;
  /** Llama 3's frequency scaling: by how much long wavelengths are stretched; null for none. */
  readonly ropeFactor: number | null;
  /** The head is the embedding. */
  readonly tied: boolean;
  /**
   * Of a mixture as Qwen 3 has them: networks, how many of them a row uses, and their width; ffDim then says nothing.
   */
  readonly experts?: { readonly count: number; readonly used: number; readonly ffDim: number };
}

/** From the models' published configurations; `tiny` is ours. */
export const MODEL_SHAPES = {
  tiny: {
    layers: 2,
    dim: 64,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    ffDim: 160,
    vocabSize: 512,
    contextLength: 256,
    rmsEps: 1e-5,
    ropeBase: 10_000,
    ropeFactor: null,
    tied: false,
  },
  'tinyllama-1.1b': {
    layers: 22,
    dim: 2048,
    heads: 32,
    kvHeads: 4,
    headDim: 64,
    ffDim: 5632,
    vocabSize: 32_000,
    contextLength: 2048,
    rmsEps: 1e-5,
    ropeBase: 10_000,
    ropeFactor: null,
    tied: false,
  },
  'llama-3.2-1b': {
    layers: 16,
    dim: 2048,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    ffDim: 8192,
    vocabSize: 128_256,
    contextLength: 131_072,
    rmsEps: 1e-5,
    ropeBase: 500_000,
    ropeFactor: 32,
    tied: true,
  },
  'llama-3.1-8b': {
    layers: 32,
    dim: 4096,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
    ffDim: 14_336,
    vocabSize: 128_256,
    contextLength: 131_072,
    rmsEps: 1e-5,
    ropeBase: 500_000,
    ropeFactor: 8,
    tied: false,
  },
  'llama-3.1-70b': {
    layers: 80,
    dim: 8192,
    heads: 64,
    kvHeads: 8,
    headDim: 128,
    ffDim: 28_672,
    vocabSize: 128_256,
    contextLength: 131_072,
    rmsEps: 1e-5,
    ropeBase: 500_000,
    ropeFactor: 8,
    tied: false,
  },
  'qwen3-30b-a3b': {
    layers: 48,
    dim: 2048,
    heads: 32,
    kvHeads: 4,
    headDim: 128,
    ffDim: 6144,
    vocabSize: 151_936,
    contextLength: 40_960,
    rmsEps: 1e-6,
    ropeBase: 1_000_000,
    ropeFactor: null,
    tied: false,
    experts: { count: 128, used: 8, ffDim: 768 },
  },
} as const satisfies Record<string, ModelShape>;

export type ModelShapeName = keyof typeof MODEL_SHAPES;

/**
 * The factors by which Llama 3 divides its rotation frequencies (Llama 3.1 reference code: low 1, high 4): 1 for short
 * wavelengths, `factor` for long ones, smoothly between.
 * @param trained positions that the model was trained for before its frequencies were scaled
 * @returns headDim/2 factors
 */
export function llama3RopeFactors(headDim: number, base: number, factor: number, trained = 8192): Float32Array {
  const [low, high] = [1, 4];
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * base ** ((2 * i) / headDim);
    if (wavelength < trained / high) return 1;
    if (wavelength > trained / low) return factor;
    const smooth = (trained / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
