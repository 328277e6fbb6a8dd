/** A use counts half of one that is so many passes later. */
const HALF_LIFE = 256;
/**
 * A tile comes to stay where it was used so much more than the one that has to go: their exchange is a copy in memory.
 */
const MARGIN = { factor: 1.5, uses: 2 } as const;
/** Beyond this all is scaled down. */
const MOST_WORTH = 2 ** 100;

/** How much the networks of one mixture have lately been used. */
export class ExpertHeat {
  readonly #heat: Float64Array;
  /** Of a use now: it grows instead of every heat shrinking. */
  #worth = 1;

  constructor(networks: number) {
    this.#heat = new Float64Array(networks);
  }

  /** Counts a pass. @param used whether it uses a network */
  count(used: (network: number) => boolean): void {
    this.#worth *= 2 ** (1 / HALF_LIFE);
    for (let network = 0; network < this.#heat.length; network++) {
      if (used(network)) this.#heat[network]! += this.#worth;
    }
    if (this.#worth < MOST_WORTH) return;
    for (let network = 0; network < this.#heat.length; network++) this.#heat[network]! /= this.#worth;
    this.#worth = 1;
  }

  /** Uses of a network, those of the past counted for less. */
  of(network: number): number {
    return this.#heat[network]! / this.#worth;
  }
}

/** A tile of an expert, by its place. */
export interface HeatedTile {
  readonly place: number;
  /** What matrices it has: tiles change places with others of the same only. */
  readonly content: number;
  readonly heat: number;
}

/**
 * Which of the tiles that a pass reads are to stay in memory, and at whose place.
 * @param read what the pass reads and uses
 * @param idle what is in memory and not used by the pass
 */
export function exchanges(
  read: readonly HeatedTile[],
  idle: readonly HeatedTile[],
): { readonly from: number; readonly to: number }[] {
  const hottest = read.toSorted((a, b) => b.heat - a.heat);
  const coldest = idle.toSorted((a, b) => a.heat - b.heat);
  const taken = new Set<number>();
  return hottest.flatMap(({ place, content, heat }) => {
    const cold = coldest.find((tile) => tile.content === content && !taken.has(tile.place));
    if (cold === undefined || heat <= cold.heat * MARGIN.factor + MARGIN.uses) return [];
    taken.add(cold.place);
    return [{ from: place, to: cold.place }];
  });
}
