import { type EngineSpec, type ExpertsSpec, type PhaseSpec, pagesFor } from '../../daemon/engine/engine-spec.ts';
import type { TileKind, TileShape } from '../../daemon/tile/tile.ts';
import { rulesOf } from '../../daemon/tile/tile-kinds.ts';
import { BLOCK, type KvFormat, roundUp, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import type { ExpertsPhase, Matrix, ModelPhase, ModelSpec } from '../model/spec.ts';
import { attention } from './kinds/attention.ts';
import { expert, widthOf } from './kinds/expert.ts';
import { ffn } from './kinds/ffn.ts';
import { head } from './kinds/head.ts';
import { kv } from './kinds/kv.ts';
import { norm } from './kinds/norm.ts';
import type { Cuts, TileCuts } from './tile-cuts.ts';

/** Every tile of a model, and what a device must know to compute them. A function of the model file alone. */
export interface TileTable {
  readonly tiles: readonly TileShape[];
  readonly engine: Omit<EngineSpec, 'kv' | 'kvPages'>;
}

/** The kinds of tiles that each kind of phase is cut into. */
const KINDS_OF: Readonly<Record<ModelPhase['kind'], readonly (keyof typeof CUTS)[]>> = {
  norms: ['norm'],
  attention: ['kv', 'attention'],
  ffn: ['ffn'],
  experts: ['expert'],
};

const CUTS: Readonly<Record<Exclude<TileKind, 'head'>, TileCuts<ModelPhase>>> = { norm, kv, attention, ffn, expert };

export function tileTable(model: ModelSpec): TileTable {
  const cols = roundUp(model.dim, BLOCK);
  const layers = model.layers.map((phases, layer) =>
    phases.map((phase) => {
      const tiles = KINDS_OF[phase.kind].flatMap((kind) => CUTS[kind].tiles(model, phase, layer, cols));
      return { tiles, spec: phaseSpec(phase, tiles) };
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

/** @param tiles of the phase */
function phaseSpec(phase: ModelPhase, tiles: readonly TileShape[]): PhaseSpec {
  if (phase.kind === 'experts') return expertsSpec(phase, tiles);
  const adding = tiles.filter((tile) => rulesOf(tile).adds).length;
  if (phase.kind === 'ffn') {
    const { kind, gate, up, activation } = phase;
    return {
      kind,
      input: activationsFor(gate.weight, up.weight),
      tiles: adding,
      activation,
      biased: gate.bias !== null,
    };
  }
  if (phase.kind === 'norms') {
    const { q, k, v, heads, kvHeads, headDim } = phase.of;
    // As attention has it: its rows are to have the bits that were added up.
    const input = activationsFor(q.weight, k.weight, v.weight);
    return { ...{ kind: phase.kind, input, tiles: adding }, ...{ heads, kvHeads, headDim } };
  }
  const { kind, heads, kvHeads, headDim, scale, softCap, window, ropes, q, k, v, normed, sinks } = phase;
  return {
    ...{ kind, tiles: adding, heads, kvHeads, headDim, scale, softCap, window },
    input: activationsFor(q.weight, k.weight, v.weight),
    biased: q.bias !== null,
    normed,
    sinks: sinks !== null,
    ropes: [...ropes],
  };
}

function expertsSpec(phase: ExpertsPhase, tiles: readonly TileShape[]): ExpertsSpec {
  const { kind, experts, shared, routing, activation } = phase;
  const networks = shared === null ? experts : [...experts, shared];
  const ffDim = widthOf(phase);
  const ofShared = tiles.filter(({ first }) => first >= experts.length * ffDim).length;
  const ofEach = (tiles.length - ofShared) / experts.length;
  return {
    ...{ kind, used: routing.used, experts: experts.length, ffDim, activation },
    input: activationsFor(...networks.flatMap(({ gate, up }) => [gate.weight, up.weight])),
    tiles: routing.used * ofEach + ofShared,
    sharedFfDim: shared === null ? 0 : shared.gate.weight.rows,
    biased: experts[0]!.gate.bias !== null,
  };
}

/** Activations travel quantised unless a matrix that takes them is in a float format. */
function activationsFor(...matrices: readonly Matrix[]): 'q8' | 'f32' {
  return matrices.some(({ tensor }) => WEIGHT_FORMATS[tensor.type].activation === 'f32') ? 'f32' : 'q8';
}
