import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExpertsSpec } from '../../../../daemon/engine/engine-spec.ts';
import { areRoutes, groupRoutes, routeBytes } from '../../../../daemon/engine/routes.ts';

const spec = (sharedFfDim = 0): ExpertsSpec => ({
  ...{ kind: 'experts', input: 'q8', tiles: 4, experts: 3, used: 2, ffDim: 32, sharedFfDim },
  ...{ activation: 'silu', biased: false },
});

/** Routes of rows, each a list of (network, weight). */
function routesOf(...rows: (readonly [number, number])[][]): Uint8Array {
  const uses = rows.flat();
  const bytes = Buffer.alloc(uses.length * 8);
  for (const [i, [network, weight]] of uses.entries()) {
    bytes.writeUInt32LE(network, i * 8);
    bytes.writeFloatLE(weight, i * 8 + 4);
  }
  return new Uint8Array(bytes);
}

test('rows are grouped by the networks that they use, in order', () => {
  const routes = routesOf(
    [
      [2, 0.5],
      [0, 0.25],
    ],
    [
      [2, 1],
      [1, -2],
    ],
  );
  const lists = { starts: new Uint32Array(4), rows: new Uint32Array(4), weights: new Float32Array(4) };
  groupRoutes(new Uint32Array(routes.buffer), 2, spec(), lists);
  assert.deepEqual([...lists.starts], [0, 1, 2, 4]);
  assert.deepEqual([...lists.rows], [0, 1, 0, 1]);
  assert.deepEqual([...lists.weights], [0.25, -2, 0.5, 1]);
});

test('routes to what is not there, twice, or with no number for a weight are refused', () => {
  const good = routesOf([
    [2, 0.5],
    [0, 0.25],
  ]);
  assert.equal(good.length, routeBytes(spec()));
  assert.ok(areRoutes(good, spec()));
  assert.ok(areRoutes(new Uint8Array(0), spec()));
  const bad: (readonly [number, number])[][] = [
    [
      [3, 1],
      [0, 1],
    ],
    [
      [1, 1],
      [1, 1],
    ],
    [
      [1, Number.NaN],
      [0, 1],
    ],
    [
      [1, 1],
      [0, Number.POSITIVE_INFINITY],
    ],
    [[1, 1]],
  ];
  for (const row of bad) assert.ok(!areRoutes(routesOf(row), spec()), JSON.stringify(row));
  // The shared network is the one after the others, in a slot of its own.
  const shared = routesOf([
    [2, 0.5],
    [0, 0.25],
    [3, 1],
  ]);
  assert.ok(areRoutes(shared, spec(32)));
  assert.ok(!areRoutes(shared, spec()));
});
