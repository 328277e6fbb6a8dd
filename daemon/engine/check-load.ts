import { BLOCK, ROW_GROUP, roundUp, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import { StarlingError } from '../errors.ts';
import type { EngineSpec } from './engine-spec.ts';
import { type TileMatrix, type TileShape, tileName } from './tile.ts';

/**
 * Checks that a load is consistent: kernels trust the shapes of tiles, so whatever passes here stays within its buffers.
 * @throws StarlingError protocol_invalid_message
 */
export function checkLoad(spec: EngineSpec, tiles: readonly TileShape[]): void {
  if (spec.cols !== roundUp(spec.dim, BLOCK)) throw invalid(`${spec.cols} columns for a width of ${spec.dim}`);
  if (spec.heads % spec.kvHeads !== 0) throw invalid(`${spec.heads} heads share ${spec.kvHeads} key/value heads`);
  const names = new Set(tiles.map(tileName));
  if (names.size !== tiles.length) throw invalid('a tile is named twice');
  for (const tile of tiles) {
    const expected = expectedSizes(spec, tile);
    if (expected === null || !sizesMatch(tile.matrices, expected))
      throw invalid(`${tileName(tile)} does not fit the model`);
    if (tile.kind === 'head' && WEIGHT_FORMATS[tile.matrices[0]!.format].activation !== spec.head) {
      throw invalid(`${tileName(tile)} does not take its input as ${spec.head}`);
    }
    if (tile.kind !== 'attention') continue;
    const group = spec.heads / spec.kvHeads;
    for (let head = Math.floor(tile.first / group); head * group < tile.first + tile.count; head++) {
      const name = tileName({ kind: 'kv', layer: tile.layer, index: head });
      if (!names.has(name)) throw invalid(`${tileName(tile)} comes without ${name}`);
    }
  }
}

/** Rows and columns of a tile's matrices, or null for a tile that the model cannot have. */
function expectedSizes(
  spec: EngineSpec,
  { kind, layer, index, first, count }: TileShape,
): [rows: number, cols: number][] | null {
  const { cols, dim, heads, kvHeads, headDim, vocabSize, layers } = spec;
  if (layer >= layers.length) return null;
  const outRows = roundUp(dim, ROW_GROUP);
  switch (kind) {
    case 'attention': {
      if (first + count > heads) return null;
      const group = heads / kvHeads;
      const isWithinOne = Math.floor(first / group) === Math.floor((first + count - 1) / group);
      const isWholeGroups = first % group === 0 && count % group === 0;
      if (!isWithinOne && !isWholeGroups) return null;
      const width = roundUp(count * headDim, BLOCK);
      return [
        [width, cols],
        [outRows, width],
      ];
    }
    case 'kv': {
      if (first >= kvHeads || count !== 1 || index !== first) return null;
      return [
        [headDim, cols],
        [headDim, cols],
      ];
    }
    case 'ffn': {
      const width = roundUp(count, BLOCK);
      return [
        [width, cols],
        [width, cols],
        [outRows, width],
      ];
    }
    case 'head':
      if (layer !== 0 || first % ROW_GROUP !== 0 || first + count > vocabSize) return null;
      return [[roundUp(count, ROW_GROUP), cols]];
  }
}

function sizesMatch(matrices: readonly TileMatrix[], expected: readonly [rows: number, cols: number][]): boolean {
  return (
    matrices.length === expected.length &&
    matrices.every(({ rows, cols }, i) => rows === expected[i]?.[0] && cols === expected[i]?.[1])
  );
}

function invalid(what: string): StarlingError {
  return new StarlingError('protocol_invalid_message', `a load is inconsistent: ${what}`);
}
