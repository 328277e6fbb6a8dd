import { BLOCK, roundUp, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import { StarlingError } from '../errors.ts';
import { type TileShape, tileName } from '../tile/tile.ts';
import { kvHeadsOf, sizesOf } from '../tile/tile-kinds.ts';
import type { TileSizes } from '../tile/tile-rules.ts';
import type { EngineSpec } from './engine-spec.ts';

/**
 * Checks that a load is consistent: kernels trust the shapes of tiles, so whatever passes here stays within its
 * buffers.
 * @throws StarlingError protocol_invalid_message
 */
export function checkLoad(spec: EngineSpec, tiles: readonly TileShape[]): void {
  if (spec.cols !== roundUp(spec.dim, BLOCK)) throw invalid(`${spec.cols} columns for a width of ${spec.dim}`);
  spec.layers.forEach((phases, layer) => {
    if (new Set(phases.map(({ kind }) => kind)).size !== phases.length)
      throw invalid(`layer ${layer} has two phases of a kind`);
    for (const phase of phases) {
      if (phase.kind !== 'attention') continue;
      const { heads, kvHeads, headDim, ropes } = phase;
      if (heads % kvHeads !== 0) throw invalid(`${heads} heads share ${kvHeads} key/value heads`);
      if (ropes.some((rope) => spec.ropes[rope] !== headDim))
        throw invalid(`layer ${layer} turns heads of ${headDim} by no table of that width`);
    }
  });
  const names = new Set(tiles.map(tileName));
  if (names.size !== tiles.length) throw invalid('a tile is named twice');
  for (const tile of tiles) {
    const expected = sizesOf(spec, tile);
    if (expected === null || !fits(tile, expected)) throw invalid(`${tileName(tile)} does not fit the model`);
    if (tile.kind === 'head' && WEIGHT_FORMATS[tile.matrices[0]!.format].activation !== spec.head) {
      throw invalid(`${tileName(tile)} does not take its input as ${spec.head}`);
    }
    for (const head of kvHeadsOf(spec, tile)) {
      const name = tileName({ kind: 'kv', layer: tile.layer, index: head });
      if (!names.has(name)) throw invalid(`${tileName(tile)} comes without ${name}`);
    }
  }
}

function fits({ matrices, vectors }: TileShape, expected: TileSizes): boolean {
  return (
    matrices.length === expected.matrices.length &&
    matrices.every(({ rows, cols }, i) => rows === expected.matrices[i]?.[0] && cols === expected.matrices[i]?.[1]) &&
    vectors.length === expected.vectors.length &&
    vectors.every((length, i) => length === expected.vectors[i])
  );
}

function invalid(what: string): StarlingError {
  return new StarlingError('protocol_invalid_message', `a load is inconsistent: ${what}`);
}
