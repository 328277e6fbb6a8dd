import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Evaluator, isSolution } from '../../../../../coordinator/cluster/planner/evaluator.ts';
import { fastest } from '../../../../../coordinator/cluster/planner/fastest.ts';
import { phaseWorks } from '../../../../../coordinator/cluster/planner/phase-work.ts';
import { MODEL_SHAPES } from '../../../../../scripts/model-shapes.ts';
import { changedCase, device, plannedModel } from '../../../../fixtures/planning-cases.ts';

describe('the fastest division', () => {
  it('is no slower where a device is better, unless the first token comes sooner, and hardly where one is added', () => {
    for (let seed = 0; seed < 6; seed++) {
      const { what, before, changed } = changedCase(seed);
      if (changed.promptMs < before.promptMs) continue;
      const most = what.startsWith('added') ? 1.05 : 1 + 1e-9;
      const ratio = changed.tokenMs / before.tokenMs;
      assert.ok(ratio <= most, `${seed}, ${what}: ${ratio} times as long`);
    }
  });

  it('is found with so much effort, however large the model is and however many devices there are', () => {
    for (const [name, count] of [
      ['tinyllama-1.1b', 4],
      ['llama-3.1-70b', 32],
    ] as const) {
      const { tiles, engine } = plannedModel(MODEL_SHAPES[name]);
      const works = phaseWorks(tiles, engine);
      // Half of the model has room.
      const devices = Array.from({ length: count }, (_, d) =>
        device(d === 0 ? 'own' : `${d}`, { speed: 5 + (d % 5), memory: 3e8 + (tiles.length * 0.8e6) / count }),
      );
      const load = { users: 1, context: 4096 };
      const evaluator = new Evaluator({ works, engine, devices, load, conversations: 1 });
      const found = fastest(
        evaluator,
        devices.map(() => true),
        'auto',
      );
      assert.ok(isSolution(found));
      assert.ok(evaluator.effort < 3e6, `${name}: ${evaluator.effort}`);
    }
  });
});
