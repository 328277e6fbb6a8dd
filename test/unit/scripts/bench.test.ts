import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { backendAvailable } from '../../../kernels/create-kernels.ts';
import type { ConstraintReport, TokenFigures } from '../../../scripts/bench-constraint.ts';
import type { DecodeReport } from '../../../scripts/bench-decode.ts';
import type { DraftFigures, DraftsReport } from '../../../scripts/bench-drafts.ts';
import type { KernelReport } from '../../../scripts/bench-kernels.ts';
import type { OverlapBenchReport } from '../../../scripts/bench-overlap.ts';
import { median, percentile, rounded, spread } from '../../../scripts/bench-statistics.ts';
import type { UsersReport } from '../../../scripts/bench-users.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { withoutC } from './needs-c.ts';
import { bench } from './run-bench.ts';

const OTHER_OPS = ['attend', 'rmsnorm', 'quantize', 'glu', 'packSums', 'unpackSums'];
const backend = (['native', 'wasm'] as const).find(backendAvailable) ?? 'reference';

const TINY_KERNELS = ['--json', '--seconds', '0.01', '--bytes', '40000', '--formats', 'Q4_0', '--backends', backend];

describe('bench-kernels', () => {
  it('reports every operation for every thread count, and the memory beside them', (context) => {
    const folder = temporaryFolder(context);
    const { status, stdout, stderr } = bench('kernels', folder, [...TINY_KERNELS, '--rows', '1,3']);
    assert.equal(status, 0, stderr);
    const { machine, memory_gb_per_s, memory_read_by, rows }: KernelReport = JSON.parse(stdout);
    assert.ok(machine.length > 0);
    assert.match(memory_read_by, /^memory-read\.c$|^Buffer\.equals, since /);
    assert.deepEqual(Object.keys(memory_gb_per_s), ['1', '2']);
    assert.ok(Object.values(memory_gb_per_s).every((rate) => rate > 0));
    assert.deepEqual(
      rows.map(({ op, format, rows: batch, threads }) => `${op} ${format} ${batch} ${threads}`),
      [
        ...[
          'matmul Q4_0 1',
          'matmul Q4_0 3',
          'repack Q4_0 null',
          'attend f16 1',
          'attend f16 64',
          'attend q8 1',
          'attend q8 64',
        ],
        ...OTHER_OPS.slice(1).map((op) => `${op} null 64`),
      ].flatMap((row) => [`${row} 1`, `${row} 2`]),
    );
    for (const row of rows) {
      assert.equal(row.backend, backend);
      assert.ok(row.gb_per_s > 0, JSON.stringify(row));
      assert.ok(row.of_memory >= 0, JSON.stringify(row));
      if (['matmul', 'attend'].includes(row.op)) assert.ok(Number(row.gflops) > 0, JSON.stringify(row));
      else assert.equal(row.gflops, null);
    }
    assert.deepEqual(readdirSync(folder), []);
  });

  it('uses no more than the instruction set that it is told, and says so', {
    skip: backend !== 'native',
  }, (context) => {
    const folder = temporaryFolder(context);
    const few = [...TINY_KERNELS, '--rows', '1', '--threads', '1'];
    const { status, stdout, stderr } = bench('kernels', folder, [...few, '--isa', 'baseline']);
    assert.equal(status, 0, stderr);
    assert.equal((JSON.parse(stdout) as KernelReport).instruction_set, 'baseline');
    const refused = bench('kernels', folder, [...few, '--isa', 'mmx']);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /'--isa <set>' argument 'mmx' is invalid\. one of .*baseline is expected/);
  });

  it('reads memory without a compiler, and says so', (context) => {
    const folder = temporaryFolder(context);
    const missing = { CC: join(folder, 'no-such-compiler') };
    const { status, stdout, stderr } = bench('kernels', folder, [...TINY_KERNELS, '--rows', '1'], missing);
    assert.equal(status, 0, stderr);
    const { memory_gb_per_s, memory_read_by }: KernelReport = JSON.parse(stdout);
    assert.match(memory_read_by, /^Buffer\.equals, since memory-read\.c did not compile or run \(.*no-such-compiler/);
    assert.ok(Object.values(memory_gb_per_s).every((rate) => rate > 0));
    assert.deepEqual(readdirSync(folder), []);
  });

  it('refuses what is not there', (context) => {
    const folder = temporaryFolder(context);
    for (const args of [
      ['--formats', 'Q9_9'],
      ['--backends', 'abacus'],
      ['--rows', '0'],
    ]) {
      const { status, stderr } = bench('kernels', folder, args);
      assert.equal(status, 1);
      assert.match(stderr, /expected/);
    }
  });
});

describe('bench-decode', () => {
  const tiny = ['--shape', 'tiny', '--quant', 'Q4_0', '--backend', backend, '--threads', '1', '--prompt', '4'];

  it('reports prefill and decode of a cluster on a model that it keeps', (context) => {
    const folder = temporaryFolder(context);
    const args = [...tiny, '--json', '--devices', '2', '--tokens', '3', '--runs', '2'];
    const { status, stdout, stderr } = bench('decode', folder, args);
    assert.equal(status, 0, stderr);
    const report: DecodeReport = JSON.parse(stdout);
    const { shape, layers, quant, devices, threads, prompt, tokens, runs } = report;
    assert.deepEqual(
      { shape, layers, quant, devices, threads, prompt, tokens, runs, backend: report.backend },
      { shape: 'tiny', layers: 2, quant: 'Q4_0', devices: 2, threads: 1, prompt: 4, tokens: 3, runs: 2, backend },
    );
    for (const [value, [least, most]] of [
      [report.decode_ms, report.decode_ms_spread],
      [report.prefill_tokens_per_second, report.prefill_tokens_per_second_spread],
    ] as const) {
      assert.ok(0 < least && least <= value && value <= most, `${least} ${value} ${most}`);
    }
    assert.equal(report.peer, null);
    assert.equal(report.ratio_decode, null);
    // Nothing but the cache is left behind.
    assert.deepEqual(readdirSync(folder), ['starling-bench']);
    assert.deepEqual(readdirSync(join(folder, 'starling-bench')).sort(), ['tiles', 'tiny-Q4_0-seed1.gguf']);
  });

  it('refuses more tokens than the context holds', (context) => {
    const { status, stderr } = bench('decode', temporaryFolder(context), [...tiny, '--tokens', '253']);
    assert.equal(status, 1);
    assert.match(stderr, /invalid_argument/);
  });
});

describe('bench-users', () => {
  it('reports what many users get, and a replayed mix in turn and together', (context) => {
    const folder = temporaryFolder(context);
    const tiny = ['--shape', 'tiny', '--quant', 'Q4_0', '--backend', backend, '--threads', '1'];
    const args = [...tiny, '--json', '--users', '1,3', '--prompt', '8', '--tokens', '12', '--runs', '1', '--mix', '3'];
    const { status, stdout, stderr } = bench('users', folder, args);
    assert.equal(status, 0, stderr);
    const report: UsersReport = JSON.parse(stdout);
    assert.deepEqual(
      report.rows.map(({ users }) => users),
      [1, 3],
    );
    for (const row of report.rows) {
      assert.ok(row.tokens_per_second > 0 && row.ttft_ms_p50 <= row.ttft_ms_p95, JSON.stringify(row));
    }
    assert.deepEqual(Object.keys(report.products_tokens_per_second ?? {}), ['1', '3']);
    assert.ok(report.of_products! > 0);
    assert.deepEqual(Object.keys(report.kernels_tokens_per_second ?? {}), ['1', '3']);
    assert.ok(report.of_kernels! > 0);
    for (const figures of [report.mix_in_turn!, report.mix_together!]) {
      assert.ok(figures.short_p50_ms <= figures.short_p95_ms && figures.longest_ms <= figures.all_ms + 1);
    }
    assert.equal(report.disk_mb_s, null);
  });
});

describe('bench-drafts', () => {
  it('reports what drafting gains and costs', (context) => {
    const tiny = ['--shape', 'tiny', '--quant', 'Q4_0', '--backend', backend, '--threads', '1'];
    const args = [...tiny, '--json', '--choices', '1,0', '--pairs', '2', '--prompt', '8', '--tokens', '24'];
    const { status, stdout, stderr } = bench('drafts', temporaryFolder(context), args);
    assert.equal(status, 0, stderr);
    const report: DraftsReport = JSON.parse(stdout);
    const [repeating, random] = report.texts as [DraftFigures, DraftFigures];
    assert.ok(repeating.tokens_per_pass >= 1 && repeating.accepted_tokens <= repeating.drafted_tokens, stdout);
    assert.deepEqual([random.choices, random.tokens_per_pass], [0, 1]);
    for (const { time_ratio, time_ratio_quartiles: middle, time_ratio_spread: all } of report.texts) {
      const ordered = [all[0], middle[0], time_ratio, middle[1], all[1]];
      assert.deepEqual(
        ordered,
        [...ordered].sort((a, b) => a - b),
      );
    }
  });
});

describe('bench-constraint', () => {
  it('reports what masks cost, and tokens with a format', (context) => {
    const tiny = ['--shape', 'tiny', '--quant', 'Q4_0', '--backend', backend, '--threads', '1'];
    const args = [...tiny, '--json', '--masks', '40', '--pairs', '1', '--tokens', '24'];
    const { status, stdout, stderr } = bench('constraint', temporaryFolder(context), args);
    assert.equal(status, 0, stderr);
    const report: ConstraintReport = JSON.parse(stdout);
    assert.equal(report.vocabulary_tokens, 512);
    for (const { new_masks, new_ms, mean_ms, p99_ms, max_ms } of report.formats) {
      assert.ok(new_masks > 1 && new_ms <= max_ms && mean_ms <= max_ms && p99_ms <= max_ms, stdout);
    }
    const [strings, records] = report.texts as [TokenFigures, TokenFigures];
    assert.ok(strings.tokens_per_pass >= 1 && records.tokens_per_pass > strings.tokens_per_pass, stdout);
  });
});

describe('bench-overlap', { skip: withoutC }, () => {
  it('reports steps whole and in halves, and what Starling makes of it, over a network as slow as asked', (context) => {
    const folder = temporaryFolder(context);
    const tiny = ['--shape', 'tiny', '--quant', 'Q4_0', '--backend', backend, '--threads', '1', '--devices', '2'];
    const args = [...tiny, '--json', '--rows', '2,5', '--steps', '8', '--delay', '2', '--mbit', '100'];
    const { status, stdout, stderr } = bench('overlap', folder, args);
    assert.equal(status, 0, stderr);
    const { devices, network, round_trip_ms, results }: OverlapBenchReport = JSON.parse(stdout);
    assert.deepEqual({ devices, network }, { devices: 2, network: { delayMs: 2, mbit: 100 } });
    assert.ok(round_trip_ms >= 4, `${round_trip_ms} ms`);
    assert.deepEqual(
      results.map(({ rows }) => rows),
      [2, 5],
    );
    for (const row of results) {
      assert.ok(row.whole_ms > round_trip_ms && row.halved_ms > round_trip_ms && row.ratio > 0, JSON.stringify(row));
      assert.ok(row.auto_tokens_per_second > 0, JSON.stringify(row));
    }
    const refused = bench('overlap', folder, [...tiny, '--rows', '1,2']);
    assert.match(refused.stderr, /numbers from 2 to 64 are expected/);
  });
});

describe('soak-users', () => {
  it('finds no fault in a few seconds of random load', (context) => {
    const program = fileURLToPath(new URL('../../../scripts/soak-users.js', import.meta.url));
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, '--minutes', '0.05', '--clients', '6'], {
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: temporaryFolder(context) },
      timeout: 120_000,
    });
    assert.equal(status, 0, stderr);
    const report = JSON.parse(stdout);
    assert.ok(report.answered > 0 && report.kv.sequences === 0, stdout);
  });
});

describe('bench statistics', () => {
  it('finds the middle and the ends', () => {
    assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
    assert.deepEqual(spread([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 });
    assert.equal(median([7]), 7);
    assert.equal(percentile([5, 1, 4, 2, 3], 0.9), 5);
    assert.equal(percentile([5, 1, 4, 2, 3], 0.5), 3);
    assert.throws(() => spread([]), RangeError);
    assert.equal(rounded(1.23456, 3), 1.235);
  });
});
