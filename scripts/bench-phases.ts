// Measures what a phase costs beside its tiles, and how a step grows with rows, devices and tiles that are streamed:
// npm run -s bench:phases -- --layers 4 --devices 1,2,3
import { realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { LocalDevices } from '../coordinator/cli/local-devices.ts';
import { integer, size } from '../coordinator/cli/options.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import { MAX_ROWS } from '../daemon/engine/engine-spec.ts';
import { defaultMemory } from '../daemon/process-memory.ts';
import { bestBackend } from '../kernels/create-kernels.ts';
import { runChild } from './bench-child.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { benchFolder, benchModel, benchTokens, quantName, shapeName } from './bench-model.ts';
import type { MeasuredStep, PhasesTask } from './bench-phases-coordinator.ts';
import { median, rounded } from './bench-statistics.ts';
import { ControlGroup, controlUnavailable } from './control-groups.ts';
import { coreCount, onCores, pin, requirePinning } from './cores.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';

export interface BenchPhasesOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  /** Numbers of devices, the coordinator included. */
  readonly devices: readonly number[];
  readonly rows: readonly number[];
  readonly steps: number;
  /** Bytes of the coordinator; by default all that there is. */
  readonly memory?: number;
  /** Megabytes a second that each device reads at most; by default all that the disk gives. */
  readonly disk?: number;
}

/** Medians over the steps. */
export interface PhasesRow {
  readonly devices: number;
  readonly rows: number;
  readonly step_ms: number;
  /** Of the coordinator, and of the device that computed longest: the tiles, and for a coordinator making its sums one. */
  readonly own_compute_ms: number;
  readonly leaf_compute_ms: number;
  /** For which the coordinator's threads waited for tiles, and what was read. */
  readonly own_disk_wait_ms: number;
  readonly own_read_mb: number;
  /** For which the star waited in a phase beyond what the device that it waited for computed. */
  readonly star_us_per_phase: number;
  /** What the coordinator does between phases, of each: norms, quantising, residuals, and of a token all else. */
  readonly between_us_per_phase: number;
}

export interface PhasesReport extends BenchMachine {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers: number;
  readonly phases: number;
  readonly steps: number;
  readonly results: readonly PhasesRow[];
}

const COORDINATOR = fileURLToPath(new URL('./bench-phases-coordinator.js', import.meta.url));

/** The coordinator has core 0, with one thread; the others have the other cores in turn. All come before what else runs. */
export async function benchPhases(options: BenchPhasesOptions): Promise<PhasesReport> {
  await requirePinning();
  const model = await benchModel(options);
  const backend = bestBackend();
  const results: PhasesRow[] = [];
  // Attention and feed-forward of each layer, and the head.
  const phases = 2 * model.layers + 1;
  for (const devices of options.devices) {
    const measured = await run(options, devices, {
      model: model.path,
      context: model.context,
      threads: 1,
      backend,
      storeDir: join(benchFolder(), 'tiles'),
      rows: options.rows,
      steps: options.steps,
      tokens: benchTokens(options.shape, model.context, MAX_ROWS),
    });
    results.push(...options.rows.map((rows) => rowOf(devices, phases, rows, measured)));
  }
  const { shape, quant, steps } = options;
  return { ...benchMachine(backend), shape, quant, layers: model.layers, phases, steps, results };
}

async function run(
  { memory, disk }: BenchPhasesOptions,
  count: number,
  task: Omit<PhasesTask, 'key' | 'peers' | 'memory'>,
): Promise<MeasuredStep[]> {
  const key = ClusterKey.generate();
  const own = memory ?? Math.floor(defaultMemory() / count);
  const each = Math.floor(defaultMemory() / count);
  const group = new ControlGroup('phases');
  group.priority = 'most';
  if (disk !== undefined) group.limitReads(benchFolder(), disk * 1e6);
  const devices = await LocalDevices.start({ ...task, count: count - 1, key, memory: each });
  try {
    for (const [i, pid] of devices.pids.entries()) {
      group.add(pid);
      await pin(pid, String(coreCount() === 1 ? 0 : 1 + (i % (coreCount() - 1))));
    }
    const whole: PhasesTask = { ...task, key: key.toText(), peers: devices.endpoints, memory: own };
    return await runChild<MeasuredStep[]>(COORDINATOR, whole, [...group.prefix, ...onCores('0')]);
  } finally {
    await devices.stop();
    await group.remove();
  }
}

function rowOf(devices: number, phases: number, rows: number, steps: readonly MeasuredStep[]): PhasesRow {
  const its = steps.filter((step) => step.rows === rows);
  const middle = (value: (step: MeasuredStep) => number, digits = 3): number => rounded(median(its.map(value)), digits);
  const waited = ({ account: { critical } }: MeasuredStep): number =>
    critical.compute + critical.disk + critical.network;
  return {
    devices,
    rows,
    step_ms: middle(({ ms }) => ms),
    own_compute_ms: middle(({ account }) => account.devices[0]!.computeMs),
    leaf_compute_ms: middle(({ account }) => Math.max(0, ...account.devices.slice(1).map((leaf) => leaf.computeMs))),
    own_disk_wait_ms: middle(({ account }) => account.devices[0]!.diskMs),
    own_read_mb: middle(({ account }) => account.devices[0]!.bytesRead / 1e6),
    star_us_per_phase: middle(({ account }) => (account.critical.network * 1000) / phases, 1),
    between_us_per_phase: middle((step) => ((step.ms - waited(step)) * 1000) / phases, 1),
  };
}

function text(report: PhasesReport): string {
  const { shape, quant, layers, phases, results } = report;
  const lines = results.map(
    (row) =>
      `${row.devices} devices, ${String(row.rows).padStart(2)} rows: step ${row.step_ms} ms, computing ${row.own_compute_ms} ms here ` +
      `and ${row.leaf_compute_ms} ms elsewhere, disk ${row.own_disk_wait_ms} ms for ${row.own_read_mb} MB; ` +
      `a phase: star ${row.star_us_per_phase} µs, between ${row.between_us_per_phase} µs\n`,
  );
  return `${machineLine(report)}; ${shape} ${quant}, ${layers} layers, ${phases} phases\n${lines.join('')}`;
}

function numberList(most: number): (list: string) => number[] {
  return (list) => {
    const numbers = list.split(',').map(Number);
    if (numbers.every((each) => Number.isInteger(each) && each >= 1 && each <= most)) return numbers;
    throw new InvalidArgumentError(`numbers from 1 to ${most} are expected, such as 1,2,4.`);
  };
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-phases')
    .description('Measure what a phase costs beside its tiles, on processes of this machine with one thread each.')
    .option('--shape <name>', 'shape of the model', shapeName, 'tinyllama-1.1b' as const)
    .option('--quant <type>', 'type of its matrices', quantName, 'Q4_0' as const)
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--devices <list>', 'numbers of devices, the coordinator included', numberList(64), [1, 2, 3, 4])
    .option('--rows <list>', 'rows of a step', numberList(MAX_ROWS), [1, 8, 64])
    .option('--steps <n>', 'steps of each number of rows', integer(1, 100_000), 30)
    .option('--memory <size>', 'memory of the coordinator (default: enough)', size(1e6, 1e14))
    .option('--disk <mb>', 'megabytes a second that are read at most', integer(1, 100_000))
    .addOption(isaOption())
    .option('--json', 'print one JSON object')
    .parse(args);
  const { json, ...options } = command.opts<BenchPhasesOptions & { readonly json?: boolean }>();
  const unavailable = options.disk === undefined ? controlUnavailable() : controlUnavailable(tmpdir());
  if (unavailable !== null) command.error(`error: ${unavailable}`);
  const report = await benchPhases(options);
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
