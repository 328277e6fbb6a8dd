// Compares what plans predict with what their tokens take, in random homes that this machine emulates:
// npm run -s check:plan -- --configurations 30 --seed 1
import { realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { integer } from '../coordinator/cli/options.ts';
import { openModel } from '../coordinator/model/open-model.ts';
import { tileLayout } from '../daemon/tile/tile.ts';
import { bestBackend } from '../kernels/create-kernels.ts';
import { Random } from '../test/fixtures/random.ts';
import { runChild } from './bench-child.ts';
import { withCluster } from './bench-cluster.ts';
import { benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { type BenchModelOptions, benchFolder, benchModel, benchTokens, headerContents } from './bench-model.ts';
import type { PlanRun, PlanTask } from './check-plan-coordinator.ts';
import { controlUnavailable } from './control-groups.ts';
import { coreCount, requirePinning } from './cores.ts';
import { type Home, withEmulatedHome } from './emulated-home.ts';
import { type CheckedPlan, planText, verdictOf, verdictText } from './plan-report.ts';
import { ROOM_BYTES, randomHome } from './random-home.ts';

export interface CheckPlanOptions {
  readonly configurations: number;
  /** Of the first one; each next one has the next. */
  readonly seed: number;
}

/** Models whose phases take milliseconds, as periods of a limited core do. */
const MODELS = [
  { shape: 'llama-3.1-8b', quant: 'Q4_0', layers: 3 },
  { shape: 'llama-3.1-8b', quant: 'Q8_0', layers: 2 },
] as const satisfies readonly BenchModelOptions[];

/** Tokens. */
const PROMPT = 64;
const NEXT = 24;

/** What is the same for all homes. */
type CommonTask = Omit<PlanTask, 'key' | 'peers' | 'memory' | 'alone'>;

interface ReadyModel {
  readonly name: string;
  readonly task: CommonTask;
  readonly tileBytes: number;
}

const COORDINATOR = fileURLToPath(new URL('./check-plan-coordinator.js', import.meta.url));

/** @param onPlan told of each home when it has been measured */
export async function checkPlans(
  { configurations, seed }: CheckPlanOptions,
  onPlan: (plan: CheckedPlan) => void,
): Promise<CheckedPlan[]> {
  await requirePinning();
  const ready = new Map<number, ReadyModel>();
  const plans: CheckedPlan[] = [];
  for (let own = seed; own < seed + configurations; own++) {
    const which = own % MODELS.length;
    const model = ready.get(which) ?? (await readyModel(MODELS[which]!));
    ready.set(which, model);
    const home = randomHome(new Random(own), coreCount(), model.tileBytes);
    const plan: CheckedPlan = { seed: own, model: model.name, home, ...(await checkPlan(model, home)) };
    plans.push(plan);
    onPlan(plan);
  }
  return plans;
}

/** Written and cut on first use, so that no tile has to travel over a slow network. */
async function readyModel(options: BenchModelOptions & (typeof MODELS)[number]): Promise<ReadyModel> {
  const { path, context, layers } = await benchModel(options);
  const tokens = benchTokens(options.shape, context, PROMPT + NEXT);
  const task: CommonTask = {
    model: path,
    context,
    threads: 1,
    backend: bestBackend(),
    storeDir: join(benchFolder(), 'tiles'),
    prompt: tokens.slice(0, PROMPT),
    next: tokens.slice(PROMPT),
  };
  await withCluster({ ...task, devices: 1 }, async () => {});
  const { table, gguf } = await openModel(path, headerContents);
  await gguf.close();
  const tileBytes = table.tiles.reduce((sum, tile) => sum + tileLayout(tile).bytes, 0);
  return { name: `${options.shape} ${options.quant} of ${layers} layers`, task, tileBytes };
}

function checkPlan({ task, tileBytes }: ReadyModel, home: Home): Promise<Pick<CheckedPlan, 'run' | 'alone'>> {
  return withEmulatedHome(home, task, async ({ key, peers, prefix }) => {
    const measure = (alone: number | null): Promise<PlanRun> => {
      const whole: PlanTask = { ...task, key: key.toText(), peers, memory: home.serving.memory, alone };
      return runChild<PlanRun>(COORDINATOR, whole, prefix);
    };
    const run = await measure(null);
    let alone: CheckedPlan['alone'] = null;
    for (const device of holders(home, tileBytes)) {
      const { measuredMs: ms } = await measure(device);
      if (alone === null || ms < alone.ms) alone = { device, ms };
    }
    return { run, alone };
  });
}

/** Devices that might be the fastest alone: of those that hold the whole model the serving one, and the quickest other. */
function holders({ serving, others }: Home, tileBytes: number): number[] {
  const holding = [serving, ...others]
    .map(({ memory, cpu }, device) => ({ device, cpu, holds: memory > tileBytes + ROOM_BYTES }))
    .filter(({ holds }) => holds);
  const [quickest] = holding.filter(({ device }) => device > 0).sort((a, b) => b.cpu - a.cpu);
  return [...(holding[0]?.device === 0 ? [0] : []), ...(quickest === undefined ? [] : [quickest.device])];
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('check-plan')
    .description("Compare what plans predict with what is measured, in random homes of this machine's processes.")
    .option('--configurations <n>', 'homes to draw', integer(1, 10_000), 30)
    .option('--seed <n>', 'of the first home; each next one has the next', integer(0, 2 ** 31), 1)
    .addOption(isaOption())
    .option('--json', 'print one JSON object')
    .parse(args);
  const unavailable = controlUnavailable(tmpdir());
  if (unavailable !== null) command.error(`error: ${unavailable}`);
  const { json, ...options } = command.opts<CheckPlanOptions & { readonly json?: boolean }>();
  const machine = benchMachine(bestBackend());
  if (!json) process.stdout.write(`${machineLine(machine)}\n`);
  const plans = await checkPlans(options, (plan) => {
    (json ? process.stderr : process.stdout).write(planText(plan));
  });
  const verdict = verdictOf(plans);
  process.stdout.write(json ? `${JSON.stringify({ ...machine, ...verdict, results: plans })}\n` : verdictText(verdict));
  process.exitCode = verdict.passed ? 0 : 1;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
