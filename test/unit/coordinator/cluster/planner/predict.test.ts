import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DeviceMemory, deviceMemory } from '../../../../../coordinator/cluster/planner/device-memory.ts';
import { phaseWorks } from '../../../../../coordinator/cluster/planner/phase-work.ts';
import type { PlannedDevice } from '../../../../../coordinator/cluster/planner/planned-device.ts';
import {
  EXAMPLE_PROMPT,
  type Load,
  type Prediction,
  predict,
} from '../../../../../coordinator/cluster/planner/predict.ts';
import { sharesOf } from '../../../../../coordinator/cluster/planner/shares.ts';
import { pagesFor } from '../../../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { MODEL_SHAPES } from '../../../../../scripts/model-shapes.ts';
import { device, plannedModel } from '../../../../fixtures/planning-cases.ts';

const { tiles, engine } = plannedModel(MODEL_SHAPES['tinyllama-1.1b']);
const works = phaseWorks(tiles, engine);
const LOAD: Load = { users: 1, context: 2048 };

/** Each phase is divided by halves, the head the serving device's. */
function prediction(devices: readonly PlannedDevice[], load = LOAD): Prediction {
  const division = works.map(({ tiles: all, kind }) => {
    const half = devices.length === 1 || kind === 'head' ? 0 : Math.floor(all.length / 2);
    return devices.map((_, d) => (d === 0 ? all.length - half : half));
  });
  const spec = { ...engine, kvPages: pagesFor(load.context) };
  const memories = sharesOf(works, division, devices.length).map((share, d): DeviceMemory => {
    const memory = deviceMemory(devices[d]!, spec, share);
    if (memory instanceof StarlingError) throw memory;
    return memory;
  });
  return predict(works, devices, division, memories, load);
}

describe('a prediction', () => {
  it('of one device that computes is what reading its weights takes, and little more', () => {
    const { tokenMs, binding, devices } = prediction([device('own', { speed: 10 })]);
    const weights = devices[0]!.memory.bytes / 10e6;
    assert.ok(tokenMs > weights && tokenMs < 1.3 * weights, `${tokenMs} ms for ${weights} of weights`);
    assert.equal(binding, 'compute');
    assert.deepEqual([devices[0]!.diskMs, devices[0]!.networkMs], [0, 0]);
  });

  it('is bound by the network where round trips take longest, one for each phase of the layers', () => {
    const { tokenMs, binding, devices } = prediction([device('own'), device('far', { roundTrip: 20 })]);
    assert.equal(binding, 'network');
    assert.ok(devices[1]!.networkMs > 44 * 20 && tokenMs > 44 * 20);
  });

  it('is as long as its disk takes, where tiles are streamed', () => {
    const { tokenMs, binding, devices } = prediction([device('own', { memory: 4e8, disk: 1e5 })]);
    assert.equal(binding, 'disk');
    assert.ok(devices[0]!.memory.streamedTiles > 0);
    assert.equal(tokenMs, devices[0]!.memory.streamedBytes / 1e5);
  });

  it('of a prompt is that of all its steps, of one no longer than the context', () => {
    const own = [device('own')];
    const long = prediction(own);
    assert.equal(long.promptTokens, EXAMPLE_PROMPT);
    assert.ok(long.promptMs > long.tokenMs);
    const short = prediction(own, { users: 1, context: 100 });
    assert.equal(short.promptTokens, 100);
    assert.ok(short.promptMs < long.promptMs / 8);
  });

  it('of more users takes longer, but less for each', () => {
    const own = [device('own')];
    const [one, eight] = [1, 8].map((users) => prediction(own, { ...LOAD, users }).tokenMs);
    assert.ok(eight! > one! && eight! < 8 * one!);
  });
});
