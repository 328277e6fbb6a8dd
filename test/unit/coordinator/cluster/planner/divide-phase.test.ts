import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PhaseDivider } from '../../../../../coordinator/cluster/planner/divide-phase.ts';
import { phaseTime } from '../../../../../coordinator/cluster/planner/pass-cost.ts';
import { type PhaseWork, phaseWorks } from '../../../../../coordinator/cluster/planner/phase-work.ts';
import { tokenPass } from '../../../../../coordinator/cluster/planner/predict.ts';
import { MODEL_SHAPES } from '../../../../../scripts/model-shapes.ts';
import { compositions, device, plannedModel } from '../../../../fixtures/planning-cases.ts';
import { Random } from '../../../../fixtures/random.ts';

const PASS = tokenPass({ users: 1, context: 64 });
const { tiles, engine } = plannedModel({ ...MODEL_SHAPES['tinyllama-1.1b'], layers: 1, vocabSize: 4096 });
const works = phaseWorks(tiles, engine);
const phase = (kind: PhaseWork['kind']): PhaseWork => works.find((work) => work.kind === kind)!;
const anyNumber = (work: PhaseWork, devices: readonly unknown[]): { most: number[]; everyone: boolean } => ({
  most: devices.map(() => work.tiles.length),
  everyone: false,
});

describe('dividing a phase', () => {
  it('is as quick as the best of all divisions; almost, where threads make steps', () => {
    const random = new Random(3);
    for (let round = 0; round < 60; round++) {
      const threads = round < 30 ? [1] : [1, 2, 4];
      const devices = Array.from({ length: random.between(2, 3) }, (_, d) =>
        device(d === 0 ? 'own' : `${d}`, {
          speed: 0.5 * 30 ** random.unit(),
          roundTrip: 0.05 * 30 ** random.unit(),
          threads: random.pick(threads),
        }),
      );
      for (const work of [phase('ffn'), phase('head')]) {
        const counts = new PhaseDivider(devices, PASS).divide(work, anyNumber(work, devices))!;
        const best = Math.min(
          ...compositions(work.tiles.length, devices.length).map((each) => phaseTime(devices, work, each, PASS).ms),
        );
        const ms = phaseTime(devices, work, counts, PASS).ms;
        assert.ok(ms <= best * (round < 30 ? 1 + 1e-9 : 1.05), `${work.kind} ${counts}: ${ms} ms, ${best} would do`);
      }
    }
  });

  it('gives as many tiles to each as it is fast', () => {
    const devices = [device('own', { speed: 10 }), device('b', { speed: 20, roundTrip: 0.001 })];
    const work = phase('ffn');
    const [own, other] = new PhaseDivider(devices, PASS).divide(work, anyNumber(work, devices))!;
    assert.ok(Math.abs(other! / own! - 2) < 0.4, `${own} and ${other}`);
  });

  it('gives none to who would only hold the others up', () => {
    const work = phase('ffn');
    for (const fields of [{ speed: 0.2 }, { roundTrip: 60 }, { bandwidth: 0.1 }]) {
      const devices = [device('own'), device('b', fields)];
      assert.deepEqual(new PhaseDivider(devices, PASS).divide(work, anyNumber(work, devices)), [work.tiles.length, 0]);
    }
  });

  it('gives everyone some where that is wished, as far as there are tiles', () => {
    const work = phase('ffn');
    const slow = [device('own'), device('b', { roundTrip: 60 }), device('c', { speed: 0.2 })];
    const counts = new PhaseDivider(slow, PASS).divide(work, { ...anyNumber(work, slow), everyone: true })!;
    assert.ok(counts.every((count) => count >= 1));
    const many = Array.from({ length: work.tiles.length + 3 }, (_, d) => device(d === 0 ? 'own' : `${d}`));
    const few = new PhaseDivider(many, PASS).divide(work, { ...anyNumber(work, many), everyone: true })!;
    assert.deepEqual(few, [...work.tiles.map(() => 1), 0, 0, 0]);
  });

  it('keeps to the limits, and says where they leave tiles over', () => {
    const work = phase('ffn');
    const all = work.tiles.length;
    const devices = [device('own'), device('b', { roundTrip: 60 })];
    const divider = new PhaseDivider(devices, PASS);
    assert.deepEqual(divider.divide(work, { most: [all - 4, 9], everyone: false }), [all - 4, 4]);
    assert.deepEqual(divider.divide(work, { most: [0, all], everyone: false }), [0, all]);
    assert.equal(divider.divide(work, { most: [all - 4, 3], everyone: false }), null);
    assert.equal(divider.divide(work, { most: [all - 4, 3], everyone: true }), null);
  });
});
