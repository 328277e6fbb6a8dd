import type {
  AttentionPhase,
  FeedForwardPhase,
  Matrix,
  ModelSpec,
  PhaseFrame,
  Vector,
  Weight,
} from '../coordinator/model/spec.ts';
import { sourceBytes } from '../kernels/formats.ts';
import type { ModelShape } from './model-shapes.ts';
import { type MatrixRole, matrixFormat, type Quant } from './quant-mix.ts';

/** A llama model of a shape as its file would describe it, without a file: for what looks at sizes only. */
export function modelOfShape(name: string, shape: ModelShape, quant: Quant): ModelSpec {
  const { layers, dim, heads, kvHeads, headDim, ffDim, vocabSize, contextLength, rmsEps, tied } = shape;
  const weight = (role: MatrixRole, layer: number, rows: number, cols: number): Weight => {
    const type = matrixFormat(quant, { role, layer, layers, cols, tied });
    const byteLength = rows * sourceBytes(type, cols);
    return {
      ...{ name: `blk.${layer}.${role}.weight`, type, dims: [cols, rows] },
      ...{ file: 0, offset: 0, byteLength },
    };
  };
  const matrix = (role: MatrixRole, layer: number, rows: number, cols: number): Matrix => ({
    ...{ tensor: weight(role, layer, rows, cols), firstRow: 0, rows, cols, halves: null },
  });
  const vector: Vector = {
    tensor: { name: 'norm', type: 'F32', dims: [dim], file: 0, offset: 0, byteLength: dim * 4 },
    ...{ first: 0, length: dim, halves: null },
  };
  const frame: PhaseFrame = { inputNorm: vector, outputNorm: null, outputBias: null, outputScale: 1 };
  const attention = (layer: number): AttentionPhase => ({
    ...frame,
    ...{ kind: 'attention', heads, kvHeads, headDim, scale: headDim ** -0.5, softCap: 0, window: 0, ropes: [0, 0] },
    q: { weight: matrix('attn_q', layer, heads * headDim, dim), bias: null },
    k: { weight: matrix('attn_k', layer, kvHeads * headDim, dim), bias: null },
    v: { weight: matrix('attn_v', layer, kvHeads * headDim, dim), bias: null },
    o: matrix('attn_output', layer, dim, heads * headDim),
    ...{ normed: 'none', qNorm: null, kNorm: null, sinks: null },
  });
  const feedForward = (layer: number): FeedForwardPhase => ({
    ...frame,
    kind: 'ffn',
    gate: { weight: matrix('ffn_gate', layer, ffDim, dim), bias: null },
    up: { weight: matrix('ffn_up', layer, ffDim, dim), bias: null },
    down: matrix('ffn_down', layer, dim, ffDim),
    activation: 'silu',
  });
  const frequencies = new Float64Array(headDim / 2);
  return {
    ...{ architecture: 'llama', name, dim, vocabSize, contextLength, rmsEps },
    ropes: [{ width: headDim, frequencies, long: null, scale: 1, temperature: null }],
    ...{ embeddingScale: 1, logitScale: 1, logitCap: 0 },
    embedding: weight('token_embd', 0, vocabSize, dim),
    outputNorm: vector,
    head: matrix(tied ? 'token_embd' : 'output', 0, vocabSize, dim),
    layers: Array.from({ length: layers }, (_, layer) => [attention(layer), feedForward(layer)]),
  };
}
