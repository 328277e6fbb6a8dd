import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterProgress } from '../../../../../coordinator/cluster/cluster.ts';
import {
  type Measurable,
  measureDevices,
  weightFormats,
} from '../../../../../coordinator/cluster/profile/measure-devices.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import type { DeviceProfile } from '../../../../../daemon/profile/device-profile.ts';
import type { TileShape } from '../../../../../daemon/tile/tile.ts';

const rates = { lone: 1, all: 2, wide: 3 };
const profile: DeviceProfile = {
  ...{ formats: { Q8_0: rates }, attention: rates, phaseMs: 1, disk: 1, readingMs: 0 },
  memory: { budget: 1, base: 1, threadBytes: 1 },
};
const link = { roundTripMs: 1, jitterMs: 0, bytesPerMs: 1 };
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test('devices are measured side by side, and their links one after the other when none is at work', async () => {
  let [measuring, atOnce, linking] = [0, 0, 0];
  const work = async <T>(result: T): Promise<T> => {
    atOnce = Math.max(atOnce, ++measuring);
    await soon();
    measuring--;
    return result;
  };
  const rank = (name: string): Measurable => ({
    name,
    measure: async (_formats, onProgress) => {
      onProgress(0, 2);
      const found = await work(profile);
      onProgress(2, 2);
      return found;
    },
    measureLink: async () => {
      assert.deepEqual([measuring, ++linking], [0, 1], name);
      await soon();
      linking--;
      return link;
    },
  });
  const ranks = ['a', 'b', 'c'].map(rank);
  const told: ClusterProgress[] = [];
  const measured = await measureDevices({
    ranks,
    formats: ['Q8_0'],
    profiler: { profile: () => work(profile) },
    onProgress: (progress) => told.push(progress),
  });
  assert.deepEqual(measured, { own: profile, failed: [], devices: ranks.map((rank) => ({ rank, profile, link })) });
  assert.equal(atOnce, 4);
  assert.ok(told.every(({ stage, done, total }) => stage === 'measuring' && done <= total));
  assert.deepEqual(told.at(-1), { stage: 'measuring', done: 9, total: 9 });
});

test('a device that fails is named, and the others are measured', async () => {
  const gone = new StarlingError('device_lost', 'nothing came');
  const rank = (name: string, fields: Partial<Measurable> = {}): Measurable => ({
    ...{ name, measure: async () => profile, measureLink: async () => link },
    ...fields,
  });
  const ranks = [
    rank('desk', { measure: () => Promise.reject(gone) }),
    rank('pi'),
    rank('phone', { measureLink: () => Promise.reject(gone) }),
  ];
  const { devices, failed } = await measureDevices({
    ranks,
    formats: [],
    profiler: { profile: async () => profile },
  });
  assert.deepEqual(
    devices.map(({ rank }) => rank.name),
    ['pi'],
  );
  assert.deepEqual(
    failed.map(({ rank, error }) => [rank.name, error.code, error.message]),
    ['desk', 'phone'].map((name) => [name, 'device_lost', `device ${name} could not be measured: nothing came`]),
  );
});

test('that this computer cannot be measured, or that it was told to stop, is an error', async () => {
  const failing = { profile: () => Promise.reject(new StarlingError('memory_too_small', 'too little')) };
  await assert.rejects(measureDevices({ ranks: [], formats: [], profiler: failing }), { code: 'memory_too_small' });
  const signal = AbortSignal.abort();
  const rank: Measurable = {
    name: 'pi',
    measure: () => Promise.reject(new StarlingError('cancelled', 'stopped')),
    measureLink: async () => link,
  };
  const profiler = { profile: async () => profile };
  await assert.rejects(measureDevices({ ranks: [rank], formats: [], profiler, signal }), { code: 'cancelled' });
});

test('formats are those of all matrices of the tiles', () => {
  const tile = (...formats: ('Q4_K' | 'Q6_K' | 'Q8_0')[]): TileShape => ({
    ...{ kind: 'ffn', layer: 0, index: 0, first: 0, count: 32, vectors: [] },
    matrices: formats.map((format) => ({ format, rows: 32, cols: 32 })),
  });
  assert.deepEqual(weightFormats([tile('Q4_K', 'Q6_K'), tile('Q4_K'), tile('Q8_0')]), ['Q4_K', 'Q6_K', 'Q8_0']);
});
