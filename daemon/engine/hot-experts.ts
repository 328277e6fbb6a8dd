import { ExpertHeat, exchanges, type HeatedTile } from './expert-heat.ts';
import { networksOfTiles } from './expert-tasks.ts';
import type { EngineLayout, PlacedTile } from './layout.ts';
import { STAYS } from './occupants.ts';

/** A phase of experts of which some are streamed. */
interface Mixture {
  readonly heat: ExpertHeat;
  readonly tiles: readonly PlacedTile[];
  /** Tiles of one content have the same number, by place from the first on. */
  readonly contents: readonly number[];
}

/**
 * Keeps those experts in memory that are used most: where a pass reads one that is hotter than one in memory that it
 * does not use, the thread that computes it also copies it there, and from the next pass on the other one is read.
 */
export class HotExperts {
  readonly #layout: EngineLayout;
  readonly #networks: Uint16Array;
  /** By the place of a phase's first tile. */
  readonly #mixtures: ReadonlyMap<number, Mixture>;
  #moves: readonly { readonly from: number; readonly to: number }[] = [];

  constructor(layout: EngineLayout) {
    this.#layout = layout;
    this.#networks = networksOfTiles(layout);
    const phases = layout.tasks.flat().filter((phase) => phase[0]?.shape.kind === 'expert');
    const mixed = phases.filter((phase) => phase.some(({ stream }) => stream !== null));
    const most = 1 + this.#networks.reduce((a, b) => Math.max(a, b), 0);
    this.#mixtures = new Map(
      mixed.map((phase) => [
        phase[0]!.place,
        { heat: new ExpertHeat(most), tiles: phase, contents: contentsOf(phase) },
      ]),
    );
  }

  /**
   * To be called before a phase's job: says which of the tiles that it reads stay.
   * @param used places of those that it computes
   */
  begin(phase: readonly PlacedTile[], used: ReadonlySet<number>): void {
    const mixture = this.#mixtures.get(phase[0]?.place ?? -1);
    if (mixture === undefined) return;
    const { tiles, moves } = this.#layout.occupants;
    const hot = new Set(Array.from(used, (place) => this.#networks[tiles[place]!]!));
    mixture.heat.count((network) => hot.has(network));
    const heated = ({ place }: PlacedTile): HeatedTile => ({
      place,
      content: mixture.contents[place - mixture.tiles[0]!.place]!,
      heat: mixture.heat.of(this.#networks[tiles[place]!]!),
    });
    const read = mixture.tiles.filter(({ place, stream }) => stream !== null && used.has(place));
    const idle = mixture.tiles.filter(({ place, stream }) => stream === null && !used.has(place));
    this.#moves = exchanges(read.map(heated), idle.map(heated));
    for (const { from, to } of this.#moves) moves[from] = to;
  }

  /** To be called after that job: those that came to their new places have changed them. */
  end(): void {
    const { tiles, moves } = this.#layout.occupants;
    for (const { from, to } of this.#moves) {
      if (moves[from] === to) [tiles[from], tiles[to]] = [tiles[to]!, tiles[from]!];
      moves[from] = STAYS;
    }
    this.#moves = [];
  }
}

/** Numbers tiles by what matrices and vectors they have. */
function contentsOf(tiles: readonly PlacedTile[]): number[] {
  const known = new Map<string, number>();
  return tiles.map(({ shape: { matrices, vectors } }) => {
    const content = JSON.stringify([matrices, vectors]);
    const number = known.get(content) ?? known.size;
    known.set(content, number);
    return number;
  });
}
