import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  computeMs,
  networkMs,
  type Pass,
  phaseTime,
  SERVING,
  sharedLinkMs,
  slowness,
} from '../../../../../coordinator/cluster/planner/pass-cost.ts';
import { type PhaseWork, phaseWorks } from '../../../../../coordinator/cluster/planner/phase-work.ts';
import { MODEL_SHAPES } from '../../../../../scripts/model-shapes.ts';
import { device, plannedModel } from '../../../../fixtures/planning-cases.ts';

const { tiles, engine } = plannedModel({ ...MODEL_SHAPES['tinyllama-1.1b'], layers: 1 });
const works = phaseWorks(tiles, engine);
const phase = (kind: PhaseWork['kind']): PhaseWork => works.find((work) => work.kind === kind)!;
const token: Pass = { rows: 1, positions: 64, isPrompt: false };
const bytesOf = (work: PhaseWork): number => work.weights.reduce((sum, [, bytes]) => sum + bytes, 0);
const close = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-9 * Math.max(1, expected), `${actual}, not ${expected}`);

describe('what a device takes for a phase', () => {
  const ffn = phase('ffn');
  const own = (threads: number) => device('own', { speed: 10, threads });
  const { phaseMs } = own(1).profile;

  it('is nothing without tiles', () => {
    assert.equal(computeMs(own(1), ffn, token, 0, 0), 0);
  });

  it('is reading its weights by one row, in rounds of as many tiles as there are threads', () => {
    const tileMs = bytesOf(ffn) / 10e6;
    for (const [count, rounds] of [
      [1, 1],
      [4, 1],
      [5, 2],
      [8, 2],
      [11, 3],
    ] as const) {
      close(computeMs(own(1), ffn, token, count, 0), phaseMs + count * tileMs);
      close(computeMs(own(4), ffn, token, count, 0), phaseMs + rounds * tileMs);
    }
  });

  it('is no longer for a few rows, and bound by arithmetic for many', () => {
    const rowMs = (rows: number): number => computeMs(own(4), ffn, { ...token, rows }, 8, 0) - phaseMs;
    close(rowMs(2), rowMs(1));
    assert.ok(rowMs(32) > 1.5 * rowMs(1) && rowMs(32) < rowMs(64));
    close(rowMs(64), (8 * bytesOf(ffn)) / own(4).profile.formats.Q4_0!.wide);
  });

  it('grows with the positions that rows attend to, up to a window', () => {
    const attention = phase('attention');
    const at = (positions: number, work = attention): number => computeMs(own(1), work, { ...token, positions }, 4, 1);
    assert.ok(at(2000) > at(1000));
    const windowed = { ...attention, kv: { ...attention.kv!, window: 1000 } };
    assert.equal(at(2000, windowed), at(1000, windowed));
  });

  it('of rows of one text attends to its positions together, of many texts to those of each', () => {
    const at = (isPrompt: boolean): number =>
      computeMs(own(1), phase('attention'), { rows: 2, positions: 2000, isPrompt }, 4, 1);
    assert.ok(at(false) > at(true));
  });

  it('is less where rows use some experts only', () => {
    const routed = { ...ffn, routed: { networks: 8, used: 2 } };
    const all = computeMs(own(1), ffn, token, 16, 0) - phaseMs;
    close(computeMs(own(1), routed, token, 16, 0) - phaseMs, all / 4);
    assert.ok(computeMs(own(1), routed, { ...token, rows: 8 }, 16, 0) - phaseMs > all / 2);
  });

  it('is an error where a rate was not measured', () => {
    const work: PhaseWork = { ...ffn, weights: [['Q6_K', 1000]] };
    assert.throws(() => computeMs(own(1), work, token, 1, 0), /no rate for Q6_K/);
  });
});

describe('what the network takes', () => {
  const ffn = phase('ffn');

  it('is a round trip and the bytes of all rows, there and back; nothing for the serving device', () => {
    const far = device('far', { roundTrip: 2, bandwidth: 1000 });
    const perRow = (ffn.inputBytes + ffn.answerBytes) / 1000;
    close(networkMs(far, ffn, token, 3), 2 + perRow);
    close(networkMs(far, ffn, { ...token, rows: 64 }, 3), 2 + 64 * perRow);
    assert.equal(networkMs(far, ffn, token, 0), 0);
    assert.equal(networkMs(device('own'), ffn, token, 3), 0);
  });

  it('of the head grows with the tiles, whose logits travel', () => {
    const far = device('far', { roundTrip: 2, bandwidth: 1000 });
    const head = phase('head');
    close(networkMs(far, head, token, 3) - networkMs(far, head, token, 2), (head.tiles[0]!.count * 4) / 1000);
  });

  it('is more where answers wait for each other on the connection that all come in by', () => {
    const devices = [device('own'), ...['a', 'b', 'c'].map((id) => device(id, { roundTrip: 1, bandwidth: 1000 }))];
    const wide: Pass = { rows: 64, positions: 64, isPrompt: true };
    close(sharedLinkMs(devices, ffn, [1, 1, 1, 1], wide), (2 * 64 * ffn.answerBytes) / 1000);
    assert.equal(sharedLinkMs(devices, ffn, [3, 1, 0, 0], wide), 0);
    assert.equal(sharedLinkMs(devices, ffn, [4, 0, 0, 0], wide), 0);
    const time = phaseTime(devices, ffn, [1, 1, 1, 1], wide);
    assert.ok(time.ms > Math.max(...time.computeMs.map((ms, d) => ms + time.networkMs[d]!)));
  });
});

describe('what a phase takes', () => {
  it('is the slowest device, and what the serving one does for each other that answers', () => {
    const ffn = phase('ffn');
    const devices = [device('own'), device('a', { roundTrip: 3 }), device('b')];
    const time = phaseTime(devices, ffn, [4, 4, 8], token);
    const serving = slowness(devices) * (SERVING.phaseMs + 2 * SERVING.deviceMs);
    const answers = sharedLinkMs(devices, ffn, [4, 4, 8], token);
    close(time.ms, serving + answers + time.computeMs[1]! + time.networkMs[1]!);
    assert.ok(slowness([device('own', { speed: 1 })]) > 10, 'a slower device serves more slowly');
    assert.equal(phaseTime(devices, ffn, [16, 0, 0], token).networkMs[1], 0);
  });

  it('counts a key/value head on each side where its query heads are split', () => {
    const attention = phase('attention');
    const devices = [device('own', { speed: 0.1 }), device('a', { speed: 0.1 })];
    const apart = phaseTime(devices, attention, [4, 12], token).computeMs[0]!;
    const split = phaseTime(devices, attention, [5, 11], token).computeMs[0]!;
    const tile = (bytesOf(attention) + 64 * attention.kv!.positionBytes * 1) / 0.1e6;
    assert.ok(split - apart > tile * 1.02, 'the second key/value head is for one tile');
  });
});
