// Measures steps as two half-batches against whole ones, over a network as slow as wanted:
// npm run -s bench:overlap -- --devices 2 --delay 1
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { LocalDevices } from '../coordinator/cli/local-devices.ts';
import { integer } from '../coordinator/cli/options.ts';
import { startCluster } from '../coordinator/cli/start-cluster.ts';
import { type Overlap, OverlapControl } from '../coordinator/cluster/overlap.ts';
import type { LanguageModel, SequenceRows } from '../coordinator/language-model.ts';
import { openModel } from '../coordinator/model/open-model.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import { MAX_ROWS, pagesFor } from '../daemon/engine/engine-spec.ts';
import { loadIdentity } from '../daemon/identity.ts';
import { createLogger } from '../daemon/log.ts';
import { homePaths } from '../daemon/paths.ts';
import { defaultMemory, processMemory } from '../daemon/process-memory.ts';
import { BACKENDS, bestBackend } from '../kernels/create-kernels.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { benchFolder, benchModel, quantName, shapeName } from './bench-model.ts';
import { median, rounded } from './bench-statistics.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';
import { mix } from './random-words.ts';
import { type NetworkSpeed, roundTripMs, SlowNetwork } from './slow-network.ts';

export interface BenchOverlapOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  /** Daemons. This process is the coordinator, which computes the head. */
  readonly devices: number;
  /** Of each process. */
  readonly threads: number;
  readonly backend: BackendName;
  /** Rows of a step, one measurement each: as many sequences decode a token. */
  readonly rows: readonly number[];
  /** Steps of each way. */
  readonly steps: number;
  readonly network: NetworkSpeed;
}

export interface OverlapRow {
  readonly rows: number;
  /** The middle step, and what that makes in tokens a second. */
  readonly whole_ms: number;
  readonly halved_ms: number;
  readonly whole_tokens_per_second: number;
  readonly halved_tokens_per_second: number;
  /** Above 1 halves are faster. */
  readonly ratio: number;
  /** With Starling deciding by itself, over all steps, those included in which it tries the other way. */
  readonly auto_tokens_per_second: number;
  readonly auto_halves: boolean;
}

export interface OverlapBenchReport extends BenchOverlapOptions, BenchMachine {
  readonly round_trip_ms: number;
  readonly results: readonly OverlapRow[];
}

/** Steps before any is counted: code is compiled, memory is touched. */
const WARM_UP = 5;

/** Each step is computed whole and then in halves, with the same rows, and must have the same logits. */
export async function benchOverlap(options: BenchOverlapOptions): Promise<OverlapBenchReport> {
  const { devices: count, threads, backend, network } = options;
  const { path, context } = await benchModel(options);
  const home = await mkdtemp(join(tmpdir(), 'starling-bench-home-'));
  const storeDir = join(benchFolder(), 'tiles');
  const key = ClusterKey.generate();
  const memory = Math.floor(defaultMemory() / (count + 1));
  const model = await openModel(path);
  const devices = await LocalDevices.start({ count, key, storeDir, backend, threads, memory });
  let slow: SlowNetwork | undefined;
  try {
    const round_trip_ms = rounded(await roundTripMs(network));
    slow = await SlowNetwork.start(devices.endpoints, network);
    const policy = new Policy();
    const cluster = await startCluster({
      model,
      identity: await loadIdentity(homePaths({ STARLING_HOME: home }).identityFile),
      key,
      peers: slow.endpoints,
      waitMs: 0,
      devices: 'all',
      profiles: null,
      ownShare: false,
      storeDir,
      backend,
      threads,
      memory: processMemory(memory),
      contextLength: context,
      kv: 'f16',
      log: createLogger('warn', 'bench'),
      overlap: policy,
      onProgress: () => {},
      signal: new AbortController().signal,
    });
    try {
      const results: OverlapRow[] = [];
      for (const rows of options.rows) results.push(await measure(cluster, policy, rows, options.steps));
      return { ...benchMachine(options.backend), ...options, round_trip_ms, results };
    } finally {
      await cluster.stop();
    }
  } finally {
    await slow?.stop();
    await devices.stop();
    await model.gguf.close();
    await rm(home, { recursive: true, force: true });
  }
}

/** Whole steps, halves, or what the control says. */
class Policy implements Overlap {
  way: 'whole' | 'halved' | OverlapControl = 'whole';

  halves(rows: number): boolean {
    return typeof this.way === 'string' ? this.way === 'halved' : this.way.halves(rows);
  }

  observe(rows: number, halved: boolean, ms: number): void {
    if (typeof this.way !== 'string') this.way.observe(rows, halved, ms);
  }
}

async function measure(model: LanguageModel, policy: Policy, rows: number, steps: number): Promise<OverlapRow> {
  const whole: number[] = [];
  const halved: number[] = [];
  for (let step = 0; step < WARM_UP + steps; step++) {
    const batch = batchOf(model, rows, step);
    policy.way = 'whole';
    const first = await timed(model, batch);
    policy.way = 'halved';
    const second = await timed(model, batch);
    if (first.logits !== second.logits) throw new Error(`step ${step} of ${rows} rows has other logits in halves`);
    if (step < WARM_UP) continue;
    whole.push(first.ms);
    halved.push(second.ms);
  }
  const control = new OverlapControl();
  policy.way = control;
  let autoMs = 0;
  for (let step = 0; step < 2 * steps; step++) autoMs += (await timed(model, batchOf(model, rows, step))).ms;
  const [wholeMs, halvedMs] = [median(whole), median(halved)];
  const rate = (ms: number): number => rounded((rows * 1000) / ms, 1);
  return {
    rows,
    whole_ms: rounded(wholeMs),
    halved_ms: rounded(halvedMs),
    whole_tokens_per_second: rate(wholeMs),
    halved_tokens_per_second: rate(halvedMs),
    ratio: rounded(median(whole.map((ms, i) => ms / halved[i]!)), 3),
    auto_tokens_per_second: rate(autoMs / (2 * steps)),
    auto_halves: control.report().decisions.some((decision) => decision.halved),
  };
}

/** The step that computes position `step` of as many sequences as there are rows. */
function batchOf(model: LanguageModel, rows: number, step: number): SequenceRows[] {
  const each = pagesFor(step + 1);
  const room = Math.floor(model.kvPages / rows);
  if (each > room) throw new Error(`${rows} sequences of ${step + 1} positions do not fit in the cache`);
  return Array.from({ length: rows }, (_, row) => ({
    tokens: [(mix(step * MAX_ROWS + row) >>> 0) % model.vocabSize],
    position: step,
    pages: Array.from({ length: each }, (_, page) => row * room + page),
    logits: 1,
  }));
}

async function timed(model: LanguageModel, batch: readonly SequenceRows[]): Promise<{ ms: number; logits: string }> {
  const begun = performance.now();
  const logits = await model.step(batch);
  const ms = performance.now() - begun;
  const hash = createHash('sha256');
  for (const row of logits) hash.update(row);
  return { ms, logits: hash.digest('hex') };
}

/** The report as lines for people. */
function text(report: OverlapBenchReport): string {
  const { shape, quant, devices, network, round_trip_ms, results } = report;
  const mbit = network.mbit === null ? '' : `, ${network.mbit} Mbit/s`;
  const lines = [
    `${machineLine(report)}\n${shape} ${quant}, ${devices} devices, round trip ${round_trip_ms} ms${mbit}\n`,
  ];
  for (const row of results) {
    lines.push(
      `${String(row.rows).padStart(2)} rows  whole ${row.whole_ms} ms, ${row.whole_tokens_per_second} tokens/s  ` +
        `halved ${row.halved_ms} ms, ${row.halved_tokens_per_second} tokens/s  ratio ${row.ratio}  ` +
        `left to itself ${row.auto_tokens_per_second} tokens/s, ${row.auto_halves ? 'halved' : 'whole'}\n`,
    );
  }
  return lines.join('');
}

interface CommandOptions {
  readonly backend?: BackendName;
  readonly threads: number;
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  readonly devices: number;
  readonly rows: readonly number[];
  readonly steps: number;
  readonly delay: number;
  readonly mbit?: number;
  readonly json?: boolean;
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-overlap')
    .description(
      'Measure steps as two half-batches against whole ones, on daemons of this machine behind a slow network.',
    )
    .option('--shape <name>', 'shape of the model', shapeName, 'tinyllama-1.1b' as const)
    .option('--quant <type>', 'type of its matrices', quantName, 'Q4_0' as const)
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--devices <n>', 'daemons, besides this process, which computes the head', integer(1, 64), 2)
    .option('--rows <list>', 'rows of a step: sequences that decode', rowList, [2, 4, 8])
    .option('--steps <n>', 'steps of each way', integer(1, 100_000), 40)
    .option('--delay <ms>', 'milliseconds from one side to the other', milliseconds, 0)
    .option('--mbit <n>', "megabits a second of the coordinator's connection, each way", integer(1, 100_000))
    .option('--threads <n>', 'compute threads of each process', integer(1, 256), 1)
    .addOption(new Option('--backend <name>', 'how to compute (default: the fastest here)').choices([...BACKENDS]))
    .addOption(isaOption())
    .option('--json', 'print one JSON object')
    .parse(args);
  const { json, delay, mbit = null, backend, ...options } = command.opts<CommandOptions>();
  const report = await benchOverlap({
    ...options,
    backend: backend ?? bestBackend(),
    network: { delayMs: delay, mbit },
  });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

function rowList(list: string): number[] {
  const rows = list.split(',').map(Number);
  if (rows.every((count) => Number.isInteger(count) && count >= 2 && count <= MAX_ROWS)) return rows;
  throw new InvalidArgumentError(`numbers from 2 to ${MAX_ROWS} are expected, such as 2,4,8.`);
}

function milliseconds(value: string): number {
  const ms = Number(value);
  if (value.trim() !== '' && ms >= 0 && ms <= 1000) return ms;
  throw new InvalidArgumentError('0 to 1000 milliseconds are expected.');
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
