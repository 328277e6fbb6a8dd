import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kvCapacity, kvDevice } from '../../../../coordinator/kv/kv-capacity.ts';
import type { TileShape } from '../../../../daemon/tile/tile.ts';

const GIB = 2 ** 30;
const PAGE = 64 * 1024;

/** Eight key/value heads, and feed-forward tiles of about a gigabyte. */
const tiles: TileShape[] = [
  ...Array.from({ length: 8 }, (_, index): TileShape => {
    const matrices = [{ format: 'Q8_0', rows: 64, cols: 64 }] as const;
    return { kind: 'kv', layer: 0, index, first: index, count: 1, matrices, vectors: [] };
  }),
  {
    ...{ kind: 'ffn', layer: 0, index: 0, first: 0, count: 1 },
    ...{ matrices: [{ format: 'F32', rows: 2 ** 14, cols: 2 ** 14 }], vectors: [] },
  },
];

const pagesOf = (memoryBytes: number, backend = 'native'): number =>
  kvCapacity(4096, [kvDevice({ memoryBytes, backend }, tiles, () => PAGE)]);

test('the cache holds eight conversations where memory allows, and one in any case', () => {
  assert.equal(pagesOf(64 * GIB), 8 * 64);
  assert.equal(pagesOf(0), 64);
  assert.equal(kvCapacity(100, [{ bytes: 1e9, pageBytes: 0 }]), 16);
});

test('tiles that fit stay in memory; where they stream, the cache has its quarter', () => {
  const weights = GIB + 8 * 64 * 64 * 1.0625;
  const fits = 1.25 * GIB + weights - GIB;
  // Nothing is left beside the tiles.
  assert.equal(pagesOf(fits + 1), 64);
  assert.equal(pagesOf(fits + 4 * 100 * 8 * PAGE + 8192), 100);
  assert.equal(pagesOf(0.75 * GIB), (0.5 * GIB * 0.25) / (8 * PAGE));
});

test('the device with the least room decides, and WebAssembly has 4 GiB', () => {
  const device = (memoryBytes: number) => kvDevice({ memoryBytes, backend: 'native' }, tiles, () => PAGE);
  assert.equal(kvCapacity(4096, [device(64 * GIB), device(0.75 * GIB)]), pagesOf(0.75 * GIB));
  assert.equal(pagesOf(64 * GIB, 'wasm'), pagesOf(4 * GIB));
});
