import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExpertsPhase, Matrix, ModelSpec, Projection } from '../../../../coordinator/model/spec.ts';
import { expert } from '../../../../coordinator/tiles/kinds/expert.ts';
import type { ExpertsSpec } from '../../../../daemon/engine/engine-spec.ts';
import { networkOf } from '../../../../daemon/tile/kinds/expert.ts';
import { tileLayout } from '../../../../daemon/tile/tile.ts';
import { equalPlan } from '../../../fixtures/equal-plan.ts';
import { smallEngine } from '../../../fixtures/model-phases.ts';
import { Random } from '../../../fixtures/random.ts';

/** Qwen3-30B-A3B. */
const [DIM, EXPERTS, USED, FF_DIM] = [2048, 128, 8, 768];

const matrix = (rows: number, cols: number): Matrix => ({
  tensor: { name: 'w', type: 'Q4_0', dims: [cols, rows], file: 0, offset: 0, byteLength: (rows * cols * 18) / 32 },
  ...{ firstRow: 0, rows, cols, halves: null },
});
const projection = (rows: number): Projection => ({ weight: matrix(rows, DIM), bias: null });
const network = { gate: projection(FF_DIM), up: projection(FF_DIM), down: matrix(DIM, FF_DIM) };
const phase: ExpertsPhase = {
  ...{ kind: 'experts', inputNorm: null, outputNorm: null, outputBias: null, outputScale: 1 },
  routing: {
    ...{ router: projection(EXPERTS), gating: 'softmax', choiceBias: null },
    ...{ used: USED, normalised: true, scale: 1 },
  },
  experts: Array.from({ length: EXPERTS }, () => network),
  ...{ activation: 'silu', downBiases: null, shared: null },
};

const EXPERTS_SPEC: ExpertsSpec = {
  ...{ kind: 'experts', input: 'q8', tiles: 1, experts: EXPERTS, used: USED, ffDim: FF_DIM },
  ...{ sharedFfDim: 0, activation: 'silu', biased: false },
};

test('whichever experts rows use, one to four devices compute alike', () => {
  const tiles = expert.tiles({ dim: DIM } as ModelSpec, phase, 0, DIM);
  const random = new Random(5);
  for (const devices of [2, 3, 4]) {
    const ranks = Array.from({ length: devices }, (_, i) => `${i}`);
    const { shares } = equalPlan(tiles, smallEngine({ layers: [[EXPERTS_SPEC]] }), {
      centre: '0',
      ranks,
      head: 'local',
    });
    let [fullest, mean] = [0, 0];
    for (let batch = 0; batch < 200; batch++) {
      const used = new Set<number>();
      while (used.size < USED) used.add(random.between(0, EXPERTS - 1));
      const loads = ranks.map((id) =>
        shares
          .get(id)!
          .filter(({ first }) => used.has(networkOf(EXPERTS_SPEC, first)))
          .reduce((sum, tile) => sum + tileLayout(tile).bytes, 0),
      );
      fullest += Math.max(...loads);
      mean += loads.reduce((a, b) => a + b) / devices;
    }
    const most = devices === 3 ? 1.15 : 1;
    assert.ok(fullest / mean <= most, `${devices} devices: the fullest has ${(fullest / mean).toFixed(3)} of the mean`);
  }
});
