/** Tiles as the native addon reads them: numbers in the order of read_tile (native/tiles.h). */
import { ACTIVATION_FUNCTIONS, KV_FORMATS, WEIGHT_FORMATS } from './formats.ts';
import type { Address } from './kernels.ts';
import type { AttentionWork, FeedForwardWork, KeyValueWork, PlacedMatrix, StepRows, TileBuffers } from './tile-work.ts';

const matrix = ({ format, weights, rows, cols }: PlacedMatrix): number[] => [
  WEIGHT_FORMATS[format].id,
  weights,
  rows,
  cols,
];

const places = ({ panels, inner, innerStride, innerPanel, sums, sumStride }: TileBuffers): number[] => [
  panels.f32,
  panels.q8,
  ...inner,
  innerStride,
  innerPanel,
  sums,
  sumStride,
];

/** NaN stands for no address. */
const optional = (address: Address | null): number => address ?? Number.NaN;

const rows = ({ positions, tables, pages, rope }: StepRows): number[] => [positions, tables, pages, rope];

export function feedForwardWords(work: FeedForwardWork): Float64Array {
  const { gate, up, down, gateBias, upBias, gathered, activation, buffers, limit } = work;
  const unit = [optional(gateBias), optional(upBias), optional(gathered), ACTIVATION_FUNCTIONS[activation].id];
  return Float64Array.from([...matrix(gate), ...matrix(up), ...matrix(down), ...places(buffers), limit, ...unit]);
}

export function keyValueWords(work: KeyValueWork): Float64Array {
  const { k, v, kBias, vBias, kNorm, kFactors, eps, kv, headDim, cache, buffers, step } = work;
  const head = [KV_FORMATS[kv].id, headDim, cache, ...[kBias, vBias, kNorm, kFactors].map(optional), eps];
  return Float64Array.from([...matrix(k), ...matrix(v), ...places(buffers), ...rows(step), ...head]);
}

export function attentionWords(work: AttentionWork): Float64Array {
  const { q, out, kv, headDim, scale, group, caches, buffers, step, limit } = work;
  const { qBias, qNorm, qFactors, eps, window, softCap, sinks } = work;
  const ready = [optional(qBias), optional(qNorm), optional(qFactors), eps];
  const rules = [window, softCap, optional(sinks)];
  const heads = [limit, KV_FORMATS[kv].id, headDim, scale, group, ...ready, ...rules, ...caches];
  return Float64Array.from([...matrix(q), ...matrix(out), ...places(buffers), ...rows(step), ...heads]);
}
