// Measures many users at once on a synthetic model, beside what the kernels alone reach and beside first come, first
// served: npm run -s bench:users -- --json
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { addComputeOptions, type ComputeOptions, integer, resolveCompute } from '../coordinator/cli/options.ts';
import { accountBetween } from '../coordinator/cluster/accounting.ts';
import type { Cluster } from '../coordinator/cluster/cluster.ts';
import type { LanguageModel } from '../coordinator/language-model.ts';
import { openModel } from '../coordinator/model/open-model.ts';
import { engineSpec, type TileTable } from '../coordinator/tiles/tile-table.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { withCluster } from './bench-cluster.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { benchFolder, benchModel, quantName, shapeName } from './bench-model.ts';
import { ModelKernels } from './bench-model-kernels.ts';
import { median, percentile, rounded } from './bench-statistics.ts';
import { type MixFigures, mixFigures, mixOf } from './bench-users-mix.ts';
import { firstTokenMs, type Heard, inTurn, randomTokens, sharedRate, together } from './bench-users-work.ts';
import { directReadSpeed } from './disk-speed.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';

export interface BenchUsersOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  readonly devices: number;
  /** Of each device. */
  readonly threads: number;
  readonly backend: BackendName;
  /** Bytes that each device may have resident; what does not fit streams from disk. */
  readonly memory?: number;
  /** How many at once, one measurement each. */
  readonly users: readonly number[];
  /** Tokens. */
  readonly prompt: number;
  readonly tokens: number;
  readonly runs: number;
  /** Requests of the replayed mix; 0 leaves it out. */
  readonly mix: number;
}

export interface UsersRow {
  readonly users: number;
  /** Medians over the runs. */
  readonly tokens_per_second: number;
  readonly tokens_per_second_per_user: number;
  readonly ttft_ms_p50: number;
  readonly ttft_ms_p95: number;
  /** Tokens per second to those of the first row. */
  readonly ratio: number;
  /** From disk, by all devices. */
  readonly mb_read_per_step: number;
}

export interface UsersReport extends BenchUsersOptions, BenchMachine {
  readonly rows: readonly UsersRow[];
  /** Tokens per second at which all kernels of a step pass by themselves, by rows; null where tiles come from disk. */
  readonly kernels_tokens_per_second: Readonly<Record<string, number>> | null;
  /** Ours to that, at the most users. */
  readonly of_kernels: number | null;
  /** The same of the matrix products only. */
  readonly products_tokens_per_second: Readonly<Record<string, number>> | null;
  readonly of_products: number | null;
  /** Where tiles come from disk: mean of raw sequential direct reads before and after. */
  readonly disk_mb_s: number | null;
  readonly mix_in_turn: MixFigures | null;
  readonly mix_together: MixFigures | null;
}

/** Seconds for which kernels are measured, each time. */
const KERNELS_S = 0.5;

export async function benchUsers(options: BenchUsersOptions): Promise<UsersReport> {
  const { shape, quant, devices, threads, backend, users } = options;
  const { path, context } = await benchModel(options);
  const storeDir = join(benchFolder(), 'tiles');
  const memory = options.memory === undefined ? {} : { memory: options.memory };
  const task = { model: path, context, devices, threads, backend, storeDir, ...memory };
  const figures = await withCluster(task, async (cluster) => {
    const streams =
      cluster.local.engine.tiles.streamed > 0 || cluster.ranks.some((rank) => (rank.memory?.streamedTiles ?? 0) > 0);
    const disk = async (): Promise<number | null> => (streams ? directReadSpeed(benchFolder()) : null);
    await atOnce(cluster, options, users.at(-1)!, 0);
    const before = await disk();
    const measured = await measureRows(cluster, options, streams ? null : await tableOf(path));
    const after = await disk();
    const arrivals = mixOf(options.mix, cluster.vocabSize, context);
    return {
      ...measured,
      disk: before === null || after === null ? null : (before + after) / 2,
      turn: arrivals.length === 0 ? null : mixFigures(await inTurn(cluster, arrivals)),
      mixed: arrivals.length === 0 ? null : mixFigures(await together(cluster, arrivals)),
    };
  });
  const { rows, products, kernels, disk } = figures;
  const most = rows.at(-1)!;
  return {
    ...benchMachine(backend),
    ...options,
    shape,
    quant,
    rows,
    kernels_tokens_per_second: kernels,
    of_kernels: kernels === null ? null : rounded(most.tokens_per_second / kernels[most.users]!, 3),
    products_tokens_per_second: products,
    of_products: products === null ? null : rounded(most.tokens_per_second / products[most.users]!, 3),
    disk_mb_s: disk === null ? null : rounded(disk / 1e6, 0),
    mix_in_turn: figures.turn,
    mix_together: figures.mixed,
  };
}

async function tableOf(path: string): Promise<TileTable> {
  const model = await openModel(path);
  await model.gguf.close();
  return model.table;
}

/** As many users as are wanted, each with a prompt of their own, all at the same moment. */
function atOnce(
  model: LanguageModel,
  { prompt, tokens }: BenchUsersOptions,
  users: number,
  run: number,
): Promise<Heard[]> {
  const wanted = Array.from({ length: users }, (_, user) => ({
    at: 0,
    user: `user ${user}`,
    promptTokens: randomTokens(prompt, model.vocabSize, 1000 * run + user),
    answer: tokens,
  }));
  return together(model, wanted);
}

/**
 * All user counts in turn, as often as there are runs, and the kernels at as many rows beside each: what changes on the
 * machine meanwhile hits all of them.
 * @param table of the model whose kernels they are; null leaves them out
 */
async function measureRows(
  cluster: Cluster,
  options: BenchUsersOptions,
  table: TileTable | null,
): Promise<{ rows: UsersRow[]; products: Record<string, number> | null; kernels: Record<string, number> | null }> {
  const { users: counts, runs, devices, threads, backend, prompt, tokens } = options;
  const most = Math.max(...counts);
  // Where sequences are on average while they decode.
  const position = prompt + Math.floor(tokens / 2);
  const alone = { backend, threads: devices * threads, rows: most, position };
  const kernels = table && (await ModelKernels.start(engineSpec(table, position + 1, 'f16'), table.tiles, alone));
  const measured = counts.map(() => ({
    rates: [] as number[],
    firsts: [] as number[],
    read: [] as number[],
    products: [] as number[],
    kernels: [] as number[],
  }));
  try {
    for (let run = 1; run <= runs; run++) {
      for (const [i, users] of counts.entries()) {
        const before = cluster.account();
        const heard = await atOnce(cluster, options, users, run);
        const { steps, devices: used } = accountBetween(before, cluster.account());
        const into = measured[i]!;
        into.rates.push(sharedRate(heard));
        into.firsts.push(...heard.map(firstTokenMs));
        into.read.push(used.reduce((sum, { bytesRead }) => sum + bytesRead, 0) / steps);
        if (kernels === null) continue;
        const seconds = await kernels.measure(users, KERNELS_S);
        into.products.push(users / seconds.products);
        into.kernels.push(users / seconds.kernels);
      }
    }
  } finally {
    await kernels?.stop();
  }
  const rows = counts.map((users, i): UsersRow => {
    const { rates, firsts, read } = measured[i]!;
    return {
      users,
      tokens_per_second: rounded(median(rates)),
      tokens_per_second_per_user: rounded(median(rates) / users),
      ttft_ms_p50: rounded(percentile(firsts, 0.5), 0),
      ttft_ms_p95: rounded(percentile(firsts, 0.95), 0),
      ratio: rounded(median(rates) / median(measured[0]!.rates)),
      mb_read_per_step: rounded(median(read) / 1e6, 1),
    };
  });
  if (kernels === null) return { rows, products: null, kernels: null };
  const rates = (of: 'products' | 'kernels'): Record<string, number> =>
    Object.fromEntries(measured.map((each, i) => [counts[i]!, rounded(median(each[of]))]));
  return { rows, products: rates('products'), kernels: rates('kernels') };
}

/** The report as lines for people. */
function text(report: UsersReport): string {
  const { shape, quant, threads, backend, rows, mix_in_turn: turn, mix_together: mixed } = report;
  const lines = [
    `${machineLine(report)}\n${shape} ${quant}, ${backend}, ${report.devices} × ${threads} threads\n`,
    ...rows.map(
      (row) =>
        `${String(row.users).padStart(2)} users  ${row.tokens_per_second} tokens/s in all (× ${row.ratio}), ${row.tokens_per_second_per_user} each, ` +
        `first token after ${row.ttft_ms_p50} ms (p95 ${row.ttft_ms_p95})\n`,
    ),
  ];
  const alone = [
    ['all kernels', report.kernels_tokens_per_second, report.of_kernels],
    ['matrix products', report.products_tokens_per_second, report.of_products],
  ] as const;
  for (const [what, rates, ours] of alone) {
    if (rates === null) continue;
    const each = Object.entries(rates).map(([users, rate]) => `${rate} at ${users}`);
    lines.push(`${what} alone: ${each.join(', ')} rows; at the most users ours is ${ours} of that\n`);
  }
  if (report.disk_mb_s !== null) {
    const read = rows.map((row) => `${row.mb_read_per_step} MB`);
    lines.push(`read from disk for a step: ${read.join(', ')}; raw disk ${report.disk_mb_s} MB/s\n`);
  }
  for (const [name, figures] of [['in turn', turn] as const, ['together', mixed] as const]) {
    if (figures === null) continue;
    lines.push(
      `mix ${name.padEnd(8)}  short p50 ${figures.short_p50_ms} ms, p95 ${figures.short_p95_ms}; long p50 ${figures.long_p50_ms} ms; ` +
        `longest wait for a first token ${figures.longest_ttft_ms} ms; all in ${figures.all_ms} ms\n`,
    );
  }
  return lines.join('');
}

async function main(args: readonly string[]): Promise<void> {
  const counts = (list: string): number[] => list.split(',').map(integer(1, 64));
  const command = new Command('bench-users')
    .description('Measure many users at once, on a synthetic model and a throw-away cluster of this machine.')
    .option('--shape <name>', 'shape of the model', shapeName, 'tinyllama-1.1b')
    .option('--quant <type>', 'type of its matrices', quantName, 'Q4_0')
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--devices <n>', 'this process and n − 1 daemons', integer(1, 64), 1)
    .option('--users <counts>', 'users at once', counts, [1, 2, 4, 8])
    .option('--prompt <n>', 'tokens of each prompt', integer(1, 2 ** 20), 32)
    .option('--tokens <n>', 'tokens of each answer', integer(2, 2 ** 20), 48)
    .option('--runs <n>', 'times to measure', integer(1, 1000), 3)
    .option('--mix <n>', 'requests of the replayed mix of short and long ones; 0 leaves it out', integer(0, 1000), 24)
    .addOption(isaOption())
    .option('--json', 'print one JSON object');
  addComputeOptions(command, 'warn').parse(args);
  const { json, logLevel: _, ...options } = command.opts<BenchUsersOptions & ComputeOptions & { json?: boolean }>();
  const report = await benchUsers({ ...options, ...(await resolveCompute(command.opts<ComputeOptions>())) });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
