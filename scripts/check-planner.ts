// Holds the planner to what it promises, over random cases: npm run -s check:planner -- --cases 2000
import { Command, InvalidArgumentError } from 'commander';
import { plan } from '../coordinator/cluster/planner/plan.ts';
import type { PlannedDevice } from '../coordinator/cluster/planner/planned-device.ts';
import { bruteForce, changedCase, device, plannedModel, smallCase, WISHES } from '../test/fixtures/planning-cases.ts';
import { Random } from '../test/fixtures/random.ts';
import { MODEL_SHAPES, type ModelShapeName } from './model-shapes.ts';

/** A plan's token may take so many times as long as that of the best of all divisions. */
const MOST_RATIO = 1.05;
const TIMED: readonly ModelShapeName[] = ['tinyllama-1.1b', 'llama-3.1-8b', 'llama-3.1-70b'];
const RUNS = 5;

await new Command('check:planner')
  .description(
    `compares plans with the best of all divisions, exit code 1 if one is more than ${MOST_RATIO} times slower`,
  )
  .option('--cases <count>', 'small random cases, each division of which is tried', count, 500)
  .option('--changes <count>', 'larger random cases, in which a device is made better, and one is added', count, 50)
  .action(({ cases, changes }: { cases: number; changes: number }) => {
    const worst = compareWithBest(cases);
    compareChanges(changes);
    time();
    process.exitCode = worst > MOST_RATIO ? 1 : 0;
  })
  .parseAsync();

function compareWithBest(cases: number): number {
  const ratios: number[] = [];
  for (let seed = 0; seed < cases; seed++) {
    const small = smallCase(new Random(seed));
    const best = bruteForce(small, WISHES);
    if (best === null) continue;
    const ratio = plan(small.tiles, small.engine, small.devices, WISHES).predicted.tokenMs / best.tokenMs;
    if (ratio > MOST_RATIO) console.log(`case ${seed}: ${ratio.toFixed(3)} times the best`);
    ratios.push(ratio);
  }
  const worst = Math.max(...ratios);
  const over = ratios.filter((ratio) => ratio > 1.01).length;
  console.log(`best of all: ${ratios.length} cases, worst ${worst.toFixed(3)}, ${over} more than 1 % slower`);
  return worst;
}

function compareChanges(cases: number): void {
  const slower = new Map<string, number[]>();
  for (let seed = 0; seed < cases; seed++) {
    const { before, changed, what } = changedCase(seed);
    const ratio = changed.tokenMs / before.tokenMs;
    const isSooner = changed.promptMs < before.promptMs;
    if (ratio > 1 + 1e-9)
      console.log(
        `case ${seed}: ${what}: ${ratio.toFixed(4)} times as long${isSooner ? ', the first token sooner' : ''}`,
      );
    slower.set(what, [...(slower.get(what) ?? []), isSooner ? 1 : ratio]);
  }
  for (const [what, ratios] of [...slower].sort()) {
    const bad = ratios.filter((ratio) => ratio > 1 + 1e-9);
    console.log(`${what}: ${ratios.length} cases, ${bad.length} slower, worst ${Math.max(1, ...bad).toFixed(4)}`);
  }
}

/** What plans take for devices that have room for all of a model together, and for less than half of it. */
function time(): void {
  for (const name of TIMED) {
    const model = plannedModel(MODEL_SHAPES[name]);
    for (const devices of [4, 8, 32]) {
      const times = [3, 0.4].map((room) =>
        median(timesOf(name, devicesOf(devices, model.tiles.length * 1.7e6 * room))),
      );
      const [roomy, tight] = times.map((ms) => `${ms.toFixed(0)} ms`);
      console.log(
        `${name}, ${model.tiles.length} tiles, ${devices} devices: ${roomy}, ${tight} where tiles are streamed`,
      );
    }
  }
}

function timesOf(name: ModelShapeName, devices: readonly PlannedDevice[]): number[] {
  const { tiles, engine } = plannedModel(MODEL_SHAPES[name]);
  return Array.from({ length: RUNS }, () => {
    const start = process.cpuUsage();
    plan(tiles, engine, devices, { ...WISHES, context: 4096 });
    // Of the processor, so that others on the machine matter less.
    return process.cpuUsage(start).user / 1000;
  });
}

function devicesOf(count: number, memory: number): PlannedDevice[] {
  return Array.from({ length: count }, (_, d) =>
    device(d === 0 ? 'own' : `${d}`, {
      ...{ speed: 5 + (d % 5), threads: 4, roundTrip: 0.3 * (1 + (d % 7)) },
      memory: 3e8 + memory / count,
    }),
  );
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

function count(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number');
  return Number(text);
}
