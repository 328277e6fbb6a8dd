// Measures decoding by devices whose memory does not hold their share of a model:
// npm run -s bench:window -- --shape llama-3.1-8b --quant Q4_0 --devices 2 --memory 1600MB
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { LocalDevices } from '../coordinator/cli/local-devices.ts';
import { addComputeOptions, type ComputeOptions, integer, resolveCompute, size } from '../coordinator/cli/options.ts';
import { type DeviceTokenReport, tokenReport } from '../coordinator/cluster/account-report.ts';
import type { Constraint } from '../coordinator/cluster/accounting.ts';
import { openModel } from '../coordinator/model/open-model.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import { defaultMemory } from '../daemon/process-memory.ts';
import { TileStore } from '../daemon/store/tile-store.ts';
import { tileLayout } from '../daemon/tile/tile.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { type BenchMachine, benchMachine, isaOption } from './bench-machine.ts';
import {
  benchFolder,
  benchTokens,
  headerContents,
  quantName,
  SEED,
  shapeName,
  writeBenchModel,
} from './bench-model.ts';
import { median, rounded } from './bench-statistics.ts';
import type { WindowTask, WindowTimes } from './bench-window-coordinator.ts';
import { directReadSpeed } from './disk-speed.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';
import { writeSyntheticTiles } from './synthetic-tiles.ts';
import { watchMemory } from './watch-memory.ts';

export interface BenchWindowOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  /** Daemons. The coordinator is a process besides, which computes the head. */
  readonly devices: number;
  /** Bytes of each daemon, */
  readonly memory: number;
  /** and of the coordinator. */
  readonly coordinatorMemory: number;
  readonly threads: number;
  readonly backend: BackendName;
  readonly context: number;
  readonly prompt: number;
  readonly tokens: number;
  /** Where the model and its tiles are kept from run to run. */
  readonly folder?: string;
  /** Of the file with which the disk is measured. */
  readonly diskBytes?: number;
}

export interface DeviceReport extends DeviceTokenReport {
  readonly peak_rss_mb: number;
}

export interface WindowReport extends BenchMachine {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers: number;
  readonly devices: number;
  readonly threads: number;
  readonly context: number;
  readonly tokens: number;
  readonly memory_mb: number;
  readonly coordinator_memory_mb: number;
  readonly tile_bytes: number;
  /** Of all tokens; the median is beside it. */
  readonly ms_per_token: number;
  readonly median_ms_per_token: number;
  readonly prefill_ms: number;
  readonly bytes_read_per_token: number;
  /** Mean of raw sequential direct reads before and after. */
  readonly disk_mb_s: number;
  readonly disk_mb_s_before_and_after: readonly [number, number];
  readonly disk_bound_ms: number;
  /**
   * The least that a token would take if all that the daemons' memory cannot hold were read for it, and how much faster
   * it was.
   */
  readonly reading_all_ms: number;
  readonly faster_than_reading_all: number;
  /** The same tokens with everything in memory; null where this machine's memory does not hold the model. */
  readonly resident_ms: number | null;
  /** Measured ÷ the larger of disk_bound_ms and resident_ms. */
  readonly ratio: number;
  readonly binding: Constraint;
  /** Of each daemon, the coordinator last. */
  readonly peak_rss_mb: readonly number[];
  readonly device_reports: readonly DeviceReport[];
  /** Whether streaming changed a bit of the logits; null where it could not be compared. */
  readonly same_logits: boolean | null;
}

const MB = 1e6;
/** Enough for everything to be resident. */
const UNLIMITED = 1e12;
/** Share of the free memory that the resident run may take. */
const RESIDENT_SHARE = 0.8;

/** Linux only: memory is looked at through /proc. */
export async function benchWindow(options: BenchWindowOptions): Promise<WindowReport> {
  const folder = options.folder ?? benchFolder();
  const storeDir = join(folder, 'window-tiles');
  const path = await hollowModel(options, folder);
  const model = await openModel(path, headerContents);
  const { tiles } = model.table;
  const layers = model.spec.layers.length;
  const tileBytes = tiles.reduce((sum, tile) => sum + tileLayout(tile).bytes, 0);
  await writeSyntheticTiles(new TileStore(storeDir), model.id, tiles);
  await model.gguf.close();

  const all = benchTokens(options.shape, options.context, options.prompt + options.tokens);
  const task = {
    model: path,
    context: options.context,
    threads: options.threads,
    prompt: all.slice(0, options.prompt),
    next: all.slice(options.prompt),
    storeDir,
    backend: options.backend,
  };
  const fits = tileBytes < defaultMemory() * RESIDENT_SHARE;
  const resident = fits ? await run(task, options.devices, UNLIMITED, UNLIMITED) : null;
  const before = await directReadSpeed(folder, options.diskBytes);
  const streamed = await run(task, options.devices, options.memory, options.coordinatorMemory);
  const after = await directReadSpeed(folder, options.diskBytes);

  const { account, token_ms } = streamed.times;
  const bytes = account.devices.reduce((sum, { bytesRead }) => sum + bytesRead, 0) / account.steps;
  const disk = (before + after) / 2;
  const diskBound = (bytes / disk) * 1000;
  const ms = mean(token_ms);
  const shares = tiles.reduce((sum, tile) => sum + (tile.kind === 'head' ? 0 : tileLayout(tile).bytes), 0);
  const readingAll = (Math.max(0, shares - options.devices * options.memory) / disk) * 1000;
  const residentMs = resident === null ? null : mean(resident.times.token_ms);
  // The daemons first, the coordinator last, as their memory.
  const report = tokenReport(account);
  const order = [...account.devices.keys()].slice(1).concat(0);
  return {
    ...benchMachine(options.backend),
    shape: options.shape,
    quant: options.quant,
    layers,
    devices: options.devices,
    threads: options.threads,
    context: options.context,
    tokens: options.tokens,
    memory_mb: rounded(options.memory / MB),
    coordinator_memory_mb: rounded(options.coordinatorMemory / MB),
    tile_bytes: tileBytes,
    ms_per_token: rounded(ms, 1),
    median_ms_per_token: rounded(median(token_ms), 1),
    prefill_ms: rounded(streamed.times.prefill_ms, 1),
    bytes_read_per_token: Math.round(bytes),
    disk_mb_s: rounded(disk / MB, 1),
    disk_mb_s_before_and_after: [rounded(before / MB, 1), rounded(after / MB, 1)],
    disk_bound_ms: rounded(diskBound, 1),
    reading_all_ms: rounded(readingAll, 1),
    faster_than_reading_all: rounded(readingAll / ms, 2),
    resident_ms: residentMs === null ? null : rounded(residentMs, 1),
    ratio: rounded(ms / Math.max(diskBound, residentMs ?? 0), 3),
    binding: report.binding,
    peak_rss_mb: streamed.peaks.map((peak) => rounded(peak / MB, 1)),
    device_reports: order.map((device, i) => ({
      ...report.devices[device]!,
      peak_rss_mb: rounded(streamed.peaks[i]! / MB, 1),
    })),
    same_logits: resident === null ? null : resident.times.logits_sha256 === streamed.times.logits_sha256,
  };
}

interface Measured {
  readonly times: WindowTimes;
  /** Bytes: of each daemon, the coordinator last. */
  readonly peaks: readonly number[];
}

async function run(
  task: Omit<WindowTask, 'key' | 'peers' | 'memory'>,
  count: number,
  memory: number,
  coordinatorMemory: number,
): Promise<Measured> {
  const { storeDir, backend, threads } = task;
  const key = ClusterKey.generate();
  const devices = await LocalDevices.start({ count, key, storeDir, backend, threads, memory });
  const watches = devices.pids.map(watchMemory);
  try {
    const whole: WindowTask = { ...task, key: key.toText(), peers: devices.endpoints, memory: coordinatorMemory };
    const file = fileURLToPath(new URL('./bench-window-coordinator.js', import.meta.url));
    const child = fork(file, [JSON.stringify(whole)], { stdio: ['ignore', 2, 2, 'ipc'] });
    if (child.pid !== undefined) watches.push(watchMemory(child.pid));
    let times: WindowTimes | undefined;
    child.on('message', (message) => {
      times = message as WindowTimes;
    });
    const [[code, signal]] = await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
    if (times === undefined)
      throw new Error(`the coordinator ended with ${signal ?? `code ${code}`}; see above for why`);
    return { times, peaks: await Promise.all(watches.map((watch) => watch.peak())) };
  } finally {
    for (const watch of watches) watch.stop();
    await devices.stop();
  }
}

/** A model file without the weights that are in tiles, written on first use. */
async function hollowModel({ shape, quant, layers }: BenchWindowOptions, folder: string): Promise<string> {
  const name = [shape, ...(layers === undefined ? [] : [`${layers}layers`]), quant, `seed${SEED}`, 'hollow'].join('-');
  const path = join(folder, `${name}.gguf`);
  if ((await stat(path).catch(() => null)) !== null) return path;
  await mkdir(folder, { recursive: true });
  const part = `${path}.${process.pid}.part`;
  await writeBenchModel(part, { shape, quant, ...(layers === undefined ? {} : { layers }) }, true);
  await rename(part, path);
  return path;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

type CommandOptions = Omit<BenchWindowOptions, 'threads' | 'backend' | 'coordinatorMemory'> &
  ComputeOptions & { readonly coordinatorMemory?: number; readonly json?: boolean };

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-window')
    .description('Measure decoding by devices whose memory does not hold their share, on synthetic tiles.')
    .requiredOption('--shape <name>', 'shape of the model', shapeName)
    .requiredOption('--quant <type>', 'type of its matrices', quantName)
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--devices <n>', 'daemons; the coordinator is one more process, which computes the head', integer(1, 64), 2)
    .option('--coordinator-memory <size>', 'memory of the coordinator (default: that of a daemon)', size(1e6, 1e14))
    .option('--context <n>', 'positions of the cache', integer(1, 2 ** 20), 512)
    .option('--prompt <n>', 'tokens of the prompt', integer(1, 64), 8)
    .option('--tokens <n>', 'tokens to decode after it', integer(1, 2 ** 20), 16)
    .option('--folder <path>', "where the model and its tiles are kept (default: in the system's temporary folder)")
    .addOption(isaOption())
    .option('--json', 'print one JSON object');
  addComputeOptions(command, 'warn').parse(args);
  const { json, logLevel: _, ...options } = command.opts<CommandOptions>();
  const { memory } = options;
  if (memory === undefined) command.error('error: give --memory, of each daemon');
  const { backend } = await resolveCompute(command.opts<CommandOptions>());
  const report = await benchWindow({
    ...options,
    memory,
    backend,
    threads: options.threads ?? 1,
    coordinatorMemory: options.coordinatorMemory ?? memory,
  });
  const lines = Object.entries(report).map(([name, value]) => `${name.padEnd(28)} ${JSON.stringify(value)}\n`);
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : lines.join(''));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
