import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DeviceProfiler, type DeviceProfilerOptions } from '../../../../daemon/profile/device-profiler.ts';
import { TileStore } from '../../../../daemon/store/tile-store.ts';
import { recordedLog } from '../../../fixtures/log-recorder.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const DAY = 24 * 3600 * 1000;
const rates = { lone: 1, all: 2, wide: 3 };

/** Profilers over one file that tell what they measure, and a clock that the test sets. */
function bench(context: TestContext) {
  const folder = temporaryFolder(context);
  const { log, lines } = recordedLog();
  const measured: string[] = [];
  const clock = { now: 100 * DAY };
  const file = join(folder, 'home', 'profile.json');
  const profiler = (fields: Partial<DeviceProfilerOptions> = {}): DeviceProfiler =>
    new DeviceProfiler({
      ...{ file, log, version: '1.0.0', backend: 'reference', threads: 2 },
      store: new TileStore(join(folder, 'tiles')),
      memory: { budget: () => 8e9, base: async () => 1e8, threadBytes: 1e7 },
      now: () => clock.now,
      measure: {
        format: async (format) => {
          measured.push(format);
          return rates;
        },
        attention: async () => {
          measured.push('attention');
          return { attention: rates, phaseMs: 0.5 };
        },
        disk: async () => {
          measured.push('disk');
          return { rate: 7, coreMs: 0.25 };
        },
      },
      ...fields,
    });
  return { profiler, measured, clock, file, lines, folder };
}

test('what was measured is kept, and only what is missing is measured', async (t) => {
  const { profiler, measured, clock } = bench(t);
  const told: number[][] = [];
  const profile = await profiler().profile(['Q8_0', 'Q8_0'], { onProgress: (...args) => told.push(args) });
  assert.deepEqual(profile, {
    formats: { Q8_0: rates },
    attention: rates,
    phaseMs: 0.5,
    disk: 7,
    readingMs: 0.25,
    memory: { budget: 8e9, base: 1e8, threadBytes: 1e7 },
  });
  assert.deepEqual(measured.splice(0), ['attention', 'Q8_0', 'disk']);
  assert.deepEqual(told, [
    [0, 3],
    [1, 3],
    [2, 3],
    [3, 3],
  ]);
  clock.now += DAY;
  assert.deepEqual(await profiler().profile(['Q8_0']), profile);
  assert.deepEqual(measured, []);
  const both = await profiler().profile(['Q4_K', 'Q8_0']);
  assert.deepEqual(measured.splice(0), ['Q4_K']);
  assert.deepEqual(Object.keys(both.formats).sort(), ['Q4_K', 'Q8_0']);
  // Memory is as it is now.
  const { memory } = await profiler({
    memory: { budget: () => 5e9, base: async () => 2e8, threadBytes: 1 },
  }).profile(['Q8_0']);
  assert.deepEqual(memory, { budget: 5e9, base: 2e8, threadBytes: 1 });
});

test('each measurement counts for seven days, and none from the future does', async (t) => {
  const { profiler, measured, clock } = bench(t);
  await profiler().profile(['Q8_0']);
  clock.now += 4 * DAY;
  await profiler().profile(['Q4_K']);
  measured.splice(0);
  clock.now += 4 * DAY;
  await profiler().profile(['Q8_0', 'Q4_K']);
  assert.deepEqual(measured.splice(0), ['attention', 'Q8_0', 'disk']);
  clock.now -= 5 * DAY;
  await profiler().profile(['Q8_0']);
  assert.deepEqual(measured, ['attention', 'Q8_0', 'disk']);
});

test('another way to compute is measured by itself, and another folder of tiles', async (t) => {
  const { profiler, measured, folder } = bench(t);
  await profiler().profile(['Q8_0']);
  measured.splice(0);
  for (const fields of [{ threads: 3 }, { version: '1.0.1' }, { backend: 'wasm' as const }]) {
    await profiler(fields).profile(['Q8_0']);
    assert.deepEqual(measured.splice(0), ['attention', 'Q8_0'], JSON.stringify(fields));
  }
  await profiler({ store: new TileStore(join(folder, 'other')) }).profile(['Q8_0']);
  assert.deepEqual(measured.splice(0), ['disk']);
  // The first one is still known.
  await profiler().profile(['Q8_0']);
  assert.deepEqual(measured, []);
});

test('a file that is damaged or made up holds nothing, and says so', async (t) => {
  const { profiler, measured, file, lines } = bench(t);
  await profiler().profile(['Q8_0']);
  const good = readFileSync(file, 'utf8');
  const hostile = [
    good.slice(0, -9),
    good.replace('"lone":1', '"lone":-1'),
    good.replace('"lone":1', '"lone":1e400'),
    good.replace('"version":1', '"version":2'),
    good.replace('"Q8_0"', '"Q7"'),
    good.replace('{"version"', '{"__proto__":{"x":1},"version"'),
    JSON.stringify({ version: 1, computing: [], disks: [], more: 'x'.repeat(300_000) }),
    'null',
    '',
  ];
  for (const text of hostile) {
    lines.splice(0);
    measured.splice(0);
    writeFileSync(file, text);
    await profiler().profile(['Q8_0']);
    assert.deepEqual(measured, ['attention', 'Q8_0', 'disk'], text.slice(0, 100));
    assert.match(lines.join(''), /is measured anew/);
  }
});

test('a file that cannot be written costs only the time, and what is forgotten is measured again', async (t) => {
  const { profiler, measured, file, folder, lines } = bench(t);
  writeFileSync(join(folder, 'no-folder'), '');
  await profiler({ file: join(folder, 'no-folder', 'profile.json') }).profile(['Q8_0']);
  assert.match(lines.join(''), /cannot write/);
  await profiler().profile(['Q8_0']);
  await profiler().forget();
  assert.throws(() => readFileSync(file), { code: 'ENOENT' });
  await profiler().forget();
  measured.splice(0);
  await profiler().profile(['Q8_0']);
  assert.equal(measured.length, 3);
});

test('what was measured before it was stopped is kept', async (t) => {
  const { profiler, measured } = bench(t);
  const abort = new AbortController();
  const onProgress = (done: number): void => {
    if (done === 2) abort.abort();
  };
  const stopped = profiler().profile(['Q8_0', 'Q4_K'], { onProgress, signal: abort.signal });
  await assert.rejects(stopped, { code: 'cancelled' });
  measured.splice(0);
  await profiler().profile(['Q8_0', 'Q4_K']);
  assert.deepEqual(measured, ['Q4_K', 'disk']);
});
