import { type EngineSpec, type PhaseSpec, pagesFor } from '../../daemon/engine/engine-spec.ts';
import type { TileKind, TileShape } from '../../daemon/tile/tile.ts';
import { rulesOf } from '../../daemon/tile/tile-kinds.ts';
import { BLOCK, type KvFormat, roundUp, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import type { Matrix, ModelPhase, ModelSpec } from '../model/spec.ts';
import { attention } from './kinds/attention.ts';
import { ffn } from './kinds/ffn.ts';
import { head } from './kinds/head.ts';
import { kv } from './kinds/kv.ts';
import type { Cuts, TileCuts } from './tile-cuts.ts';

/** Every tile of a model, and what a device must know to compute them. A function of the model file alone. */
export interface TileTable {
  readonly tiles: readonly TileShape[];
  readonly engine: Omit<EngineSpec, 'kv' | 'kvPages'>;
}

/** The kinds of tiles that each kind of phase is cut into. */
const KINDS_OF: Readonly<Record<ModelPhase['kind'], readonly (keyof typeof CUTS)[]>> = {
  attention: ['kv', 'attention'],
  ffn: ['ffn'],
};

const CUTS: Readonly<Record<Exclude<TileKind, 'head'>, TileCuts<ModelPhase>>> = { kv, attention, ffn };

export function tileTable(model: ModelSpec): TileTable {
  const cols = roundUp(model.dim, BLOCK);
  const layers = model.layers.map((phases, layer) =>
    phases.map((phase) => {
      const tiles = KINDS_OF[phase.kind].flatMap((kind) => CUTS[kind].tiles(model, phase, layer, cols));
      return { tiles, spec: phaseSpec(phase, tiles.filter(({ kind }) => kind === phase.kind).length) };
    }),
  );
  return {
    tiles: [...layers.flat().flatMap(({ tiles }) => tiles), ...head.tiles(model, model.head, 0, cols)],
    engine: {
      dim: model.dim,
      cols,
      vocabSize: model.vocabSize,
      rmsEps: model.rmsEps,
      ropes: model.ropes.map(({ width }) => width),
      layers: layers.map((phases) => phases.map(({ spec }) => spec)),
      head: activationsFor(model.head),
    },
  };
}

/** What a tile is cut from. */
export function cutsOf(model: ModelSpec, tile: TileShape): Cuts {
  if (tile.kind === 'head') return head.cuts(model.head, tile);
  const { phase: wanted } = rulesOf(tile);
  const phase = model.layers[tile.layer]!.find(({ kind }) => kind === wanted)!;
  return CUTS[tile.kind].cuts(phase, tile);
}

/** The engine's spec for sequences of at most `positions` positions, cached in a format. */
export function engineSpec(table: TileTable, positions: number, kv: KvFormat): EngineSpec {
  return { ...table.engine, kv, kvPages: pagesFor(positions) };
}

/** @param tiles that add to the phase's sums */
function phaseSpec(phase: ModelPhase, tiles: number): PhaseSpec {
  if (phase.kind === 'ffn') {
    const { kind, gate, up, activation } = phase;
    return { kind, input: activationsFor(gate.weight, up.weight), tiles, activation, biased: gate.bias !== null };
  }
  const { kind, heads, kvHeads, headDim, scale, softCap, window, ropes, q, k, v, qNorm, sinks } = phase;
  return {
    ...{ kind, tiles, heads, kvHeads, headDim, scale, softCap, window },
    input: activationsFor(q.weight, k.weight, v.weight),
    biased: q.bias !== null,
    normed: qNorm !== null,
    sinks: sinks !== null,
    ropes: [...ropes],
  };
}

/** Activations travel quantised unless a matrix that takes them is in a float format. */
function activationsFor(...matrices: readonly Matrix[]): 'q8' | 'f32' {
  return matrices.some(({ tensor }) => WEIGHT_FORMATS[tensor.type].activation === 'f32') ? 'f32' : 'q8';
}
