import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExpertsSpec } from '../../../../daemon/engine/engine-spec.ts';
import { HotExperts } from '../../../../daemon/engine/hot-experts.ts';
import type { EngineLayout, PlacedTile } from '../../../../daemon/engine/layout.ts';
import { createOccupants, STAYS } from '../../../../daemon/engine/occupants.ts';
import { smallEngine } from '../../../fixtures/model-phases.ts';

/** Four experts of one tile each, the first two in memory. */
function setUp() {
  const experts: ExpertsSpec = {
    ...{ kind: 'experts', input: 'f32', tiles: 1, experts: 4, used: 1, ffDim: 32 },
    ...{ sharedFfDim: 0, activation: 'silu', biased: false },
  };
  const phase = Array.from({ length: 4 }, (_, place) => ({
    shape: { kind: 'expert', layer: 0, index: place, first: 32 * place, count: 32, matrices: [], vectors: [] },
    ...{ place, address: 0, matrices: [], vectors: [], kvHeads: [], stream: place < 2 ? null : place - 2 },
  })) satisfies PlacedTile[];
  const occupants = createOccupants(phase.length);
  const layout = { spec: smallEngine({ layers: [[experts]] }), tasks: [[phase]], headTasks: [], occupants };
  const hot = new HotExperts(layout as unknown as EngineLayout);
  const pass = (used: number, computed = () => {}): void => {
    hot.begin(phase, new Set([used]));
    computed();
    hot.end();
  };
  return { occupants, pass };
}

test('an expert that is read again and again changes places with one that is not used', () => {
  const { occupants, pass } = setUp();
  pass(1);
  pass(1);
  for (let i = 0; i < 3; i++) pass(3);
  assert.deepEqual([...occupants.tiles], [3, 1, 2, 0]);
  assert.ok(occupants.moves.every((to) => to === STAYS));
});

test('one that did not come to its new place keeps its own', () => {
  const { occupants, pass } = setUp();
  const lost = (): void => {
    occupants.moves[3] = STAYS;
  };
  for (let i = 0; i < 5; i++) pass(3, lost);
  assert.deepEqual([...occupants.tiles], [0, 1, 2, 3]);
});
