// Measures how much faster a device more makes it, each pinned to a core of its own:
// npm run -s bench:cluster -- --shape tinyllama-1.1b --quant Q4_0 --devices 1,2
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { decimal, integer, resolveCompute } from '../coordinator/cli/options.ts';
import { BACKENDS } from '../kernels/create-kernels.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { WARM_UP } from './bench-child.ts';
import { type BenchMachine, benchMachine, isaOption } from './bench-machine.ts';
import { benchFolder, benchModel, benchTokens, quantName, shapeName } from './bench-model.ts';
import { median, rounded } from './bench-statistics.ts';
import { coreCount, requirePinning } from './cores.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';
import { type Configuration, scalingPlan } from './scaling-plan.ts';
import {
  type BusyReport,
  busyReport,
  type DevicesReport,
  devicesReports,
  nameOf,
  requireSameLogits,
} from './scaling-report.ts';
import { type CommonTask, runConfiguration, type ScalingRun } from './scaling-run.ts';
import { scalingText } from './scaling-text.ts';
import { type NetworkSpeed, roundTripMs } from './slow-network.ts';

export interface BenchScalingOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  /** Numbers of devices, the coordinator included. */
  readonly devices: readonly number[];
  readonly backend: BackendName;
  /** Tokens. */
  readonly prompt: number;
  readonly tokens: number;
  readonly runs: number;
  /** Whether every process has a core, as far as there are any. */
  readonly pinned: boolean;
  /** Whether to measure two devices also while another process keeps core 1 busy. */
  readonly busy: boolean;
  /** Null for none between the processes but the machine's own. */
  readonly network: NetworkSpeed | null;
}

export interface NetworkReport extends NetworkSpeed {
  /** Of a byte. */
  readonly round_trip_ms: number;
  /** By how much it was slower than asked, over all that passed, tiles included: of the runs the middle one. */
  readonly late_p50_ms: number;
  readonly late_p99_ms: number;
}

export interface ScalingReport
  extends Omit<BenchScalingOptions, 'layers' | 'devices' | 'busy' | 'network' | 'prompt' | 'tokens'>,
    BenchMachine {
  readonly cores: number;
  readonly layers: number;
  readonly model_bytes: number;
  readonly prompt: number;
  readonly tokens: number;
  readonly network: NetworkReport | null;
  /** Of the logits, which all configurations have in common. */
  readonly logits_sha256: string;
  readonly results: readonly DevicesReport[];
  readonly busy: BusyReport | null;
}

/**
 * Measures all configurations in turn, once in each run.
 * @throws Error when one has other logits; StarlingError invalid_argument when the tokens exceed the context
 */
export async function benchScaling(options: BenchScalingOptions): Promise<ScalingReport> {
  const { shape, quant, backend, prompt, tokens, runs, pinned } = options;
  const cores = coreCount();
  if (pinned || options.busy) await requirePinning();
  const model = await benchModel(options);
  const all = benchTokens(shape, model.context, prompt + tokens);
  const task: CommonTask = {
    model: model.path,
    context: model.context,
    prompt: all.slice(0, prompt),
    next: all.slice(prompt),
    warmUp: WARM_UP,
    backend,
    storeDir: join(benchFolder(), 'tiles'),
  };
  const plan = scalingPlan(options.devices, cores, pinned, options.busy);
  const roundTrip = options.network === null ? 0 : await roundTripMs(options.network);
  const measured = new Map<Configuration, ScalingRun[]>(plan.all.map((configuration) => [configuration, []]));
  for (let run = 0; run < runs; run++) {
    for (const [configuration, its] of measured) {
      its.push(await runConfiguration(task, configuration, options.network));
      requireSameLogits(hashes(measured));
    }
  }
  return {
    ...benchMachine(backend),
    cores,
    shape,
    layers: model.layers,
    quant,
    model_bytes: model.bytes,
    backend,
    prompt,
    tokens,
    runs,
    pinned,
    network: options.network === null ? null : networkReport(options.network, roundTrip, [...measured.values()].flat()),
    logits_sha256: hashes(measured)[0]!.sha256,
    results: devicesReports(plan, measured, task, cores),
    busy: busyReport(plan, measured, task),
  };
}

const hashes = (measured: ReadonlyMap<Configuration, readonly ScalingRun[]>): { name: string; sha256: string }[] =>
  [...measured].flatMap(([configuration, its]) =>
    its.map(({ times }) => ({ name: nameOf(configuration), sha256: times.logits_sha256 })),
  );

function networkReport(speed: NetworkSpeed, roundTrip: number, runs: readonly ScalingRun[]): NetworkReport {
  const late = runs.flatMap((run) => run.late ?? []);
  const middle = (values: readonly number[]): number => (values.length === 0 ? 0 : rounded(median(values), 4));
  return {
    ...speed,
    round_trip_ms: rounded(roundTrip, 3),
    late_p50_ms: middle(late.map(({ p50Ms }) => p50Ms)),
    late_p99_ms: middle(late.map(({ p99Ms }) => p99Ms)),
  };
}

interface CommandOptions extends Omit<BenchScalingOptions, 'backend' | 'pinned' | 'busy' | 'network'> {
  readonly backend?: BackendName;
  readonly pin: boolean;
  readonly busy?: boolean;
  readonly delay?: number;
  readonly mbit?: number;
  readonly json?: boolean;
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-scaling')
    .description('Measure how much faster a device more makes it: processes of this machine, with one thread each.')
    .requiredOption('--shape <name>', 'shape of the model', shapeName)
    .requiredOption('--quant <type>', 'type of its matrices', quantName)
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--devices <list>', 'numbers of devices, the coordinator included', deviceList, [1, 2])
    .option('--delay <ms>', 'milliseconds of the network from one side to the other', decimal(0, 1000))
    .option('--mbit <n>', "megabits a second of the coordinator's connection, each way", integer(1, 100_000))
    .option('--prompt <n>', 'tokens of the prompt', integer(1, 2 ** 20), 128)
    .option('--tokens <n>', 'tokens to decode after it', integer(1, 2 ** 20), 32)
    .option('--runs <n>', 'times to measure', integer(1, 1000), 3)
    .option('--no-pin', 'leave it to the system which core runs what')
    .option('--busy', 'measure two devices also while another process keeps core 1 busy')
    .addOption(new Option('--backend <name>', 'how to compute (default: the fastest here)').choices([...BACKENDS]))
    .addOption(isaOption())
    .option('--json', 'print one JSON object')
    .parse(args);
  const { json, delay, mbit, pin, busy = false, ...options } = command.opts<CommandOptions>();
  if (busy && !options.devices.includes(2)) command.error('error: --busy is about 2 devices: have them in --devices');
  if (busy && coreCount() < 2) command.error('error: --busy needs two cores');
  const { backend } = await resolveCompute({ ...options, logLevel: 'warn' });
  const network = delay === undefined && mbit === undefined ? null : { delayMs: delay ?? 0, mbit: mbit ?? null };
  const report = await benchScaling({ ...options, backend, pinned: pin, busy, network });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : scalingText(report));
}

function deviceList(list: string): number[] {
  const counts = list.split(',').map(Number);
  if (counts.every((count) => Number.isInteger(count) && count >= 1 && count <= 64)) return counts;
  throw new InvalidArgumentError('numbers from 1 to 64 are expected, such as 1,2,3.');
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
