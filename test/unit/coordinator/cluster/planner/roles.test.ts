import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ModelDivider } from '../../../../../coordinator/cluster/planner/divide-model.ts';
import { Evaluator, isSolution } from '../../../../../coordinator/cluster/planner/evaluator.ts';
import { phaseWorks } from '../../../../../coordinator/cluster/planner/phase-work.ts';
import { rolesOf, solve } from '../../../../../coordinator/cluster/planner/roles.ts';
import { MODEL_SHAPES } from '../../../../../scripts/model-shapes.ts';
import { device, plannedModel } from '../../../../fixtures/planning-cases.ts';

describe('roles', () => {
  const devices = [device('own', { layers: false }), device('a'), device('b')];
  const able = [false, true, true];

  it('let the serving device have the head in any case, others as wished', () => {
    assert.deepEqual(rolesOf(devices, able, able, 'local', false).head, [true, false, false]);
    assert.deepEqual(rolesOf(devices, able, [false, true, false], 'auto', false).head, [true, true, false]);
    assert.deepEqual(rolesOf(devices, able, able, 'shared', false).everyone, { layers: false, head: true });
    assert.deepEqual(rolesOf(devices, able, able, 'auto', true).everyone, { layers: true, head: false });
  });
});

describe('dividing among devices of too little memory', () => {
  const { tiles, engine } = plannedModel(MODEL_SHAPES['llama-3.1-8b']);
  const solved = (memory: number) => {
    const devices = [device('own'), device('small', { memory, speed: 40, roundTrip: 0.05 })];
    const load = { users: 1, context: 131_072 };
    const evaluator = new Evaluator({ works: phaseWorks(tiles, engine), engine, devices, load, conversations: 1 });
    const found = solve(new ModelDivider(evaluator), devices, [true, true], 'local', true);
    assert.ok(isSolution(found));
    return (kind: string): number =>
      evaluator.problem.works.reduce((sum, work, p) => sum + (work.kind === kind ? found.division[p]![1]! : 0), 0);
  };

  it('takes attention from who has no room for a cache, and all from who has room for nothing', () => {
    const roomy = solved(1e12);
    assert.ok(roomy('attention') > 0 && roomy('ffn') > 0);
    const small = solved(60e6);
    assert.ok(small('attention') === 0 && small('ffn') > 0);
    const none = solved(1e6);
    assert.deepEqual([none('attention'), none('ffn')], [0, 0]);
  });
});
