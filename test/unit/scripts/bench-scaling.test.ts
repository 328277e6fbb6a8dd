import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { backendAvailable } from '../../../kernels/create-kernels.ts';
import type { ScalingReport } from '../../../scripts/bench-scaling.ts';
import { coreCount } from '../../../scripts/cores.ts';
import { scalingPlan } from '../../../scripts/scaling-plan.ts';
import { requireSameLogits, type SpeedRatio } from '../../../scripts/scaling-report.ts';
import { divideTime } from '../../../scripts/time-division.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { withoutC } from './needs-c.ts';
import { bench } from './run-bench.ts';

const backend = (['native', 'wasm'] as const).find(backendAvailable) ?? 'reference';
const TINY = ['--shape', 'tiny', '--quant', 'Q4_0', '--backend', backend, '--prompt', '4', '--tokens', '3'];
/** Pinning needs Linux. */
const skip = process.platform === 'linux' ? false : 'not on this system';

const inOrder = (ratio: SpeedRatio): boolean =>
  ratio.decode_spread[0] <= ratio.decode &&
  ratio.decode <= ratio.decode_spread[1] &&
  ratio.prefill_spread[0] <= ratio.prefill &&
  ratio.prefill <= ratio.prefill_spread[1];

describe('bench-scaling', () => {
  it('reports what a device more gains, and where the time went', { skip }, (context) => {
    const folder = temporaryFolder(context);
    const { status, stdout, stderr } = bench('scaling', folder, [...TINY, '--json', '--devices', '1,2', '--runs', '1']);
    assert.equal(status, 0, stderr);
    const report: ScalingReport = JSON.parse(stdout);
    assert.equal(report.cores, coreCount());
    assert.equal(typeof report.instruction_set, backend === 'native' ? 'string' : 'object');
    assert.match(report.logits_sha256, /^[0-9a-f]{64}$/);
    assert.deepEqual([report.network, report.busy], [null, null]);
    const [one, two] = report.results;
    assert.deepEqual([one?.devices, one?.threads, one?.speed_up.decode, one?.of_bound.decode], [1, 1, 1, 1]);
    assert.deepEqual([two?.devices, two?.threads], [2, 1]);
    assert.equal(two?.bound.threads, Math.min(2, report.cores));
    assert.equal(two?.shared_cores, report.cores < 2);
    assert.deepEqual(two?.processes, [
      { name: 'coordinator', cores: '0' },
      { name: 'device 1', cores: report.cores < 2 ? '0' : '1' },
    ]);
    for (const row of report.results) {
      assert.ok(row.decode_ms > 0 && row.prefill_tokens_per_second > 0, stdout);
      assert.ok(inOrder(row.speed_up) && inOrder(row.of_bound), stdout);
      assert.ok(row.decode_division.own_compute_ms > 0, stdout);
    }
    assert.equal(one?.decode_division.star_ms, 0);
    assert.ok(two!.decode_division.star_ms > 0 && two!.decode_division.remote_compute_ms > 0, stdout);
    assert.deepEqual(readdirSync(folder), ['starling-bench']);
  });

  it('puts a network in between, and a busy process beside', { skip: withoutC || coreCount() < 2 }, (context) => {
    const args = [...TINY, '--json', '--devices', '2', '--runs', '1', '--no-pin', '--busy', '--delay', '1'];
    const { status, stdout, stderr } = bench('scaling', temporaryFolder(context), args);
    assert.equal(status, 0, stderr);
    const { network, results, busy, pinned }: ScalingReport = JSON.parse(stdout);
    assert.equal(pinned, false);
    assert.deepEqual([network?.delayMs, network?.mbit], [1, null]);
    assert.ok(network!.round_trip_ms >= 2, stdout);
    // Two layers of two phases, each of which waits for a round trip.
    assert.ok(results[0]!.decode_ms >= 8, stdout);
    assert.equal(busy?.busy_core, '1');
    assert.ok(inOrder(busy.slow_down), stdout);
  });

  it('refuses what it cannot measure', (context) => {
    const folder = temporaryFolder(context);
    assert.match(bench('scaling', folder, [...TINY, '--devices', '0']).stderr, /numbers from 1 to 64 are expected/);
    assert.match(bench('scaling', folder, [...TINY, '--devices', '1', '--busy']).stderr, /--busy is about 2 devices/);
  });
});

describe('scaling plan', () => {
  it('gives every process a core as far as there are any, and measures each configuration once', () => {
    const { one, counts, busy, all } = scalingPlan([1, 2, 3], 2, true, true);
    assert.deepEqual(one, { devices: 1, threads: 1, cores: ['0'], busy: null });
    assert.deepEqual(
      counts.map(({ many }) => many.cores),
      [['0'], ['0', '1'], ['0', '1', '0']],
    );
    assert.equal(counts[0]?.bound, one);
    assert.deepEqual(counts[1]?.bound, { devices: 1, threads: 2, cores: ['0-1'], busy: null });
    assert.equal(counts[2]?.bound, counts[1]?.bound);
    assert.deepEqual(busy, { devices: 2, threads: 1, cores: ['0', '1'], busy: '1' });
    assert.equal(all.length, 5);
  });

  it('measures one device even where nobody asks for it', () => {
    const { all } = scalingPlan([2], 4, false, false);
    assert.deepEqual(
      all.map(({ devices, threads, cores }) => ({ devices, threads, cores })),
      [
        { devices: 1, threads: 1, cores: null },
        { devices: 2, threads: 1, cores: null },
        { devices: 1, threads: 2, cores: null },
      ],
    );
  });
});

describe('comparing logits', () => {
  it('names what computed others', () => {
    requireSameLogits([]);
    requireSameLogits([
      { name: '1 device', sha256: 'aa' },
      { name: '2 devices', sha256: 'aa' },
    ]);
    const measured = ['aa', 'aa', 'bb', 'bb'].map((sha256, i) => ({ name: i < 2 ? 'one' : 'two', sha256 }));
    assert.throws(() => requireSameLogits(measured), /^Error: two computed other logits than one$/);
  });
});

describe('dividing time', () => {
  it('tells computing, the star and the rest apart', () => {
    const device = (place: number, computeMs: number) => ({
      ...{ id: `${place}`, name: `${place}` },
      ...{ computeMs, diskMs: 0, networkMs: 0, bytesRead: 0 },
    });
    const all = (...times: number[]) => times.map((computeMs, place) => device(place, computeMs));
    const before = { steps: 1, ms: 7, critical: { compute: 1, disk: 0, network: 2 }, devices: all(0, 0, 0) };
    const after = {
      steps: 3,
      ms: 107,
      critical: { compute: 51, disk: 0, network: 32 },
      devices: all(40, 60, 50),
    };
    assert.deepEqual(divideTime(before, after, 100, 2), {
      own_compute_ms: 20,
      remote_compute_ms: 30,
      star_ms: 10,
      coordinator_ms: 10,
    });
  });
});
