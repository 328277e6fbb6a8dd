import { type Arena, f32View, u32View } from '../../kernels/arena.ts';
import { networkOf } from '../tile/kinds/expert.ts';
import { phaseSpecOf } from '../tile/tile-kinds.ts';
import type { ExpertsSpec, Phase } from './engine-spec.ts';
import { type EngineLayout, tasksOf, tilesOf } from './layout.ts';
import { groupRoutes, networksOf, routeBytes, slotsOf } from './routes.ts';
import type { RowRange } from './step.ts';

/** The network that each of the layout's tiles is of, by its number in execution order; 0 for one that is of none. */
export const networksOfTiles = (layout: EngineLayout): Uint16Array =>
  Uint16Array.from(tilesOf(layout), ({ shape }) =>
    shape.kind === 'expert' ? networkOf(phaseSpecOf(layout.spec, shape) as ExpertsSpec, shape.first) : 0,
  );

/** Finds the tiles that rows use in a phase of experts, and groups the rows by network for those who compute them. */
export class ExpertTasks {
  readonly #arena: Arena;
  readonly #layout: EngineLayout;
  /** See networksOfTiles. */
  readonly #networks: Uint16Array;
  /** By place: 1 where its tile is read, 0 where it is in memory. */
  readonly #streamed: Uint8Array;

  constructor(arena: Arena, layout: EngineLayout) {
    this.#arena = arena;
    this.#layout = layout;
    this.#networks = networksOfTiles(layout);
    this.#streamed = Uint8Array.from(tilesOf(layout), ({ stream }) => (stream === null ? 0 : 1));
  }

  /** See Engine.routes. */
  routes(phase: ExpertsSpec, { first, count }: RowRange): Uint8Array {
    const bytes = routeBytes(phase);
    return this.#arena.bytes(this.#layout.routes!.given + first * bytes, count * bytes);
  }

  /**
   * Lists the tiles that the rows use, those in memory first, as the others are read meanwhile.
   * @returns their places
   */
  list(layer: number, phase: Phase, spec: ExpertsSpec, rows: RowRange): Uint32Array {
    const [arena, layout] = [this.#arena, this.#layout];
    const { starts: at, rows: rowsAt, weights: weightsAt, tasks } = layout.routes!;
    const given = this.routes(spec, rows);
    const uses = rows.count * slotsOf(spec);
    const starts = u32View(arena, at, networksOf(spec) + 1);
    groupRoutes(new Uint32Array(given.buffer, given.byteOffset, given.length / 4), rows.count, spec, {
      starts,
      rows: u32View(arena, rowsAt, uses),
      weights: f32View(arena, weightsAt, uses),
    });
    const all = tasksOf(layout, layer, phase);
    const list = u32View(arena, tasks, all.length);
    const first = all[0]?.place ?? 0;
    let count = 0;
    const { tiles } = layout.occupants;
    const addUsed = (streamed: 0 | 1): void => {
      for (let place = first; place < first + all.length; place++) {
        const network = this.#networks[tiles[place]!]!;
        if (this.#streamed[place] === streamed && starts[network + 1]! > starts[network]!) list[count++] = place;
      }
    };
    addUsed(0);
    if (layout.window !== null) addUsed(1);
    return list.subarray(0, count);
  }
}
