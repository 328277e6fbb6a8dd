// Measures many users at once on a synthetic model, beside what the kernels alone reach and beside first come, first served:
// npm run -s bench:users -- --json
import { realpathSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { addComputeOptions, type ComputeOptions, integer, resolveCompute } from '../coordinator/cli/options.ts';
import type { LanguageModel } from '../coordinator/language-model.ts';
import { isWeightFormat } from '../kernels/formats.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { withCluster } from './bench-cluster.ts';
import { benchKernels } from './bench-kernels.ts';
import { benchFolder, benchModel, quantName, shapeName } from './bench-model.ts';
import { median, rounded } from './bench-statistics.ts';
import {
  type DraftFigures,
  drafting,
  firstTokenMs,
  type Heard,
  inTurn,
  percentile,
  randomTokens,
  sharedRate,
  together,
  totalMs,
  type Wanted,
} from './bench-users-work.ts';
import { MODEL_SHAPES, type ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';
import { mix } from './random-words.ts';

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
}

export interface MixFigures {
  readonly short_p50_ms: number;
  readonly short_p95_ms: number;
  readonly short_ttft_p50_ms: number;
  readonly long_p50_ms: number;
  readonly longest_ttft_ms: number;
  readonly longest_ms: number;
  readonly all_ms: number;
}

export interface UsersReport extends BenchUsersOptions {
  readonly machine: string;
  readonly rows: readonly UsersRow[];
  /** Matrix products of the whole model alone, in tokens per second at as many rows as there are users; null for mixed types. */
  readonly kernels_tokens_per_second: Readonly<Record<string, number>> | null;
  /** Ours to that, at the most users. */
  readonly of_kernels: number | null;
  readonly mix_in_turn: MixFigures | null;
  readonly mix_together: MixFigures | null;
  readonly drafts_repeating: DraftFigures;
  readonly drafts_random: DraftFigures;
}

export async function benchUsers(options: BenchUsersOptions): Promise<UsersReport> {
  const { shape, quant, devices, threads, backend, users } = options;
  const { path, context } = await benchModel(options);
  const before = await kernelRates(options);
  const storeDir = join(benchFolder(), 'tiles');
  const memory = options.memory === undefined ? {} : { memory: options.memory };
  const cluster = { model: path, context, devices, threads, backend, storeDir, ...memory };
  const { rows, turn, mixed, repeating, random } = await withCluster(cluster, async ({ forward }) => {
    await atOnce(forward, options, users.at(-1)!, 0);
    const rows = await measureRows(forward, options);
    const arrivals = mixOf(options.mix, forward.vocabSize, context);
    const prompt = randomTokens(options.prompt, forward.vocabSize, 77);
    return {
      rows,
      turn: arrivals.length === 0 ? null : mixFigures(await inTurn(forward, arrivals)),
      mixed: arrivals.length === 0 ? null : mixFigures(await together(forward, arrivals)),
      repeating: await draftFigures(forward, prompt, options, 1),
      random: await draftFigures(forward, prompt, options, RANDOM_CHOICES),
    };
  });
  // The better of two, as a shared machine has worse moments: what is compared with them must not gain by one.
  const kernels = better(before, await kernelRates(options));
  const most = rows.at(-1)!;
  const alone = kernels?.[most.users];
  return {
    machine: cpus()[0]?.model ?? 'unknown',
    ...options,
    shape,
    quant,
    rows,
    kernels_tokens_per_second: kernels,
    of_kernels: alone === undefined ? null : rounded(most.tokens_per_second / alone, 3),
    mix_in_turn: turn,
    mix_together: mixed,
    drafts_repeating: repeating,
    drafts_random: random,
  };
}

/** So few that pairs of tokens come again soon and are guessed from, and so many that most guesses are wrong. */
const RANDOM_CHOICES = 8;

/** Medians over the runs, each of which measures with and without drafts in turn. */
async function draftFigures(
  model: LanguageModel,
  prompt: readonly number[],
  { runs, tokens }: BenchUsersOptions,
  choices: number,
): Promise<DraftFigures> {
  const figures: DraftFigures[] = [];
  for (let run = 0; run < runs; run++) figures.push(await drafting(model, prompt, 2 * tokens, choices));
  const middle = (name: keyof DraftFigures): number => rounded(median(figures.map((of) => of[name])), 3);
  return {
    plain_ms: middle('plain_ms'),
    ms: middle('ms'),
    speed: middle('speed'),
    tokens_per_pass: middle('tokens_per_pass'),
  };
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

/** All user counts in turn, as often as there are runs: what changes on the machine meanwhile hits all of them. */
async function measureRows(model: LanguageModel, options: BenchUsersOptions): Promise<UsersRow[]> {
  const rates = options.users.map(() => [] as number[]);
  const firsts = options.users.map(() => [] as number[]);
  for (let run = 1; run <= options.runs; run++) {
    for (const [i, users] of options.users.entries()) {
      const heard = await atOnce(model, options, users, run);
      rates[i]!.push(sharedRate(heard));
      firsts[i]!.push(...heard.map(firstTokenMs));
    }
  }
  return options.users.map((users, i) => ({
    users,
    tokens_per_second: rounded(median(rates[i]!)),
    tokens_per_second_per_user: rounded(median(rates[i]!) / users),
    ttft_ms_p50: rounded(percentile(firsts[i]!, 0.5), 0),
    ttft_ms_p95: rounded(percentile(firsts[i]!, 0.95), 0),
    ratio: rounded(median(rates[i]!) / median(rates[0]!)),
  }));
}

/** Tokens per second that all matrix products of the model would take by themselves, by rows. */
async function kernelRates(options: BenchUsersOptions): Promise<Record<string, number> | null> {
  const { shape, quant, backend, threads, users } = options;
  if (!isWeightFormat(quant)) return null;
  const { rows } = await benchKernels({
    formats: [quant],
    rows: users,
    backends: [backend],
    threads: [threads],
    seconds: 0.5,
    bytes: 96 * 2 ** 20,
  });
  const { dim, heads, kvHeads, headDim, ffDim, vocabSize, layers } = MODEL_SHAPES[shape];
  const layer = dim * headDim * (2 * heads + 2 * kvHeads) + 3 * dim * ffDim;
  const weights = layer * (options.layers ?? layers) + dim * vocabSize;
  return Object.fromEntries(
    rows.filter(({ op }) => op === 'matmul').map((row) => [row.rows, rounded((row.gflops! * 1e9) / (2 * weights))]),
  );
}

function better(a: Record<string, number> | null, b: Record<string, number> | null): Record<string, number> | null {
  if (a === null || b === null) return null;
  return Object.fromEntries(Object.entries(a).map(([rows, rate]) => [rows, Math.max(rate, b[rows] ?? 0)]));
}

/** Four users who ask, at random moments, two short questions for one long; about half as much again as one at a time can serve. */
function mixOf(count: number, vocabSize: number, context: number): Wanted[] {
  let at = 0;
  return Array.from({ length: count }, (_, i) => {
    const word = (n: number): number => (mix(mix(99) + 8 * i + n) >>> 0) / 2 ** 32;
    const long = i % 3 === 2;
    const length = Math.min(context / 2, Math.round(long ? 200 + 200 * word(1) : 20 + 30 * word(1)));
    const answer = Math.round(long ? 100 + 80 * word(2) : 12 + 12 * word(2));
    at += -Math.log(1 - word(3)) * 1500;
    return {
      at,
      user: `user ${Math.floor(4 * word(4))}`,
      promptTokens: randomTokens(length, vocabSize, 5000 + i),
      answer: Math.min(answer, context / 2),
    };
  });
}

function mixFigures(heard: readonly Heard[]): MixFigures {
  const long = heard.filter((_, i) => i % 3 === 2);
  const short = heard.filter((_, i) => i % 3 !== 2);
  const begin = Math.min(...heard.map(({ askedAt }) => askedAt));
  return roundedAll({
    short_p50_ms: percentile(short.map(totalMs), 0.5),
    short_p95_ms: percentile(short.map(totalMs), 0.95),
    short_ttft_p50_ms: percentile(short.map(firstTokenMs), 0.5),
    long_p50_ms: percentile(long.map(totalMs), 0.5),
    longest_ttft_ms: Math.max(...heard.map(firstTokenMs)),
    longest_ms: Math.max(...heard.map(totalMs)),
    all_ms: Math.max(...heard.map(({ tokensAt }) => tokensAt.at(-1)!)) - begin,
  });
}

function roundedAll<T extends object>(figures: T): T {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, rounded(value as number)])) as T;
}

/** The report as lines for people. */
function text(report: UsersReport): string {
  const { machine, shape, quant, threads, backend, rows, mix_in_turn: turn, mix_together: mixed } = report;
  const lines = [
    `${machine}\n${shape} ${quant}, ${backend}, ${report.devices} × ${threads} threads\n`,
    ...rows.map(
      (row) =>
        `${String(row.users).padStart(2)} users  ${row.tokens_per_second} tokens/s in all (× ${row.ratio}), ${row.tokens_per_second_per_user} each, ` +
        `first token after ${row.ttft_ms_p50} ms (p95 ${row.ttft_ms_p95})\n`,
    ),
  ];
  if (report.of_kernels !== null) lines.push(`of what the kernels alone reach: ${report.of_kernels}\n`);
  for (const [name, figures] of [['in turn', turn] as const, ['together', mixed] as const]) {
    if (figures === null) continue;
    lines.push(
      `mix ${name.padEnd(8)}  short p50 ${figures.short_p50_ms} ms, p95 ${figures.short_p95_ms}; long p50 ${figures.long_p50_ms} ms; ` +
        `longest wait for a first token ${figures.longest_ttft_ms} ms; all in ${figures.all_ms} ms\n`,
    );
  }
  for (const [name, { plain_ms, ms, speed, tokens_per_pass }] of [
    ['repeating', report.drafts_repeating] as const,
    ['random', report.drafts_random] as const,
  ]) {
    lines.push(
      `drafts, ${name} text: ${tokens_per_pass} tokens a pass, ${ms} ms a token, without ${plain_ms} ms (× ${speed})\n`,
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
    .option('--json', 'print one JSON object');
  addComputeOptions(command, 'warn').parse(args);
  const { json, logLevel: _, ...options } = command.opts<BenchUsersOptions & ComputeOptions & { json?: boolean }>();
  const report = await benchUsers({ ...options, ...(await resolveCompute(command.opts<ComputeOptions>())) });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
