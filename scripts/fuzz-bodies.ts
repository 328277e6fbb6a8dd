/**
 * Fuzzes the HTTP interface with requests of all dialects: valid bodies, changed in every way that clients may
 * think of, and what no client would send. Most are bodies that the route's reader reads or refuses; one in 32 is a
 * request to the whole application, and must be answered in a bounded time, in the shape of its dialect, with no error
 * of ours, twice with the same status; and nothing may be left of it.
 *   node dist/scripts/fuzz-bodies.js [--count 10000000] [--seconds 600] [--seed N]
 * The case of one seed again: --seed N --count 1. Exit code 1 where anything was found.
 */
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { FuzzOrder, FuzzReport } from './body-fuzz/worker.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '10000000' },
    seconds: { type: 'string', default: '86400' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
  },
});

function number(name: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new RangeError(`--${name} ${text} is not a number from 0 up`);
  return value;
}

const LOOK_MS = 500;
/** Of processor time, for one case; and of time, where it only waits. */
const HANGS = { cpuMs: 5000, ms: 60_000 };

const progress = new BigInt64Array(new SharedArrayBuffer(8));
const seed = number('seed', values.seed);
const order: FuzzOrder = {
  seed,
  count: number('count', values.count),
  seconds: number('seconds', values.seconds),
  progress,
};
const started = performance.now();
const worker = new Worker(new URL('./body-fuzz/worker.js', import.meta.url), {
  workerData: order,
  // As the main thread has, on which a coordinator computes.
  resourceLimits: { stackSizeMb: 1 },
});

function fail(what: string): void {
  console.error(`seed ${(seed + Number(Atomics.load(progress, 0))) % 2 ** 32}: ${what}`);
  process.exit(1);
}

let since = { cases: -1n, cpuMs: 0, ms: 0 };
const watch = setInterval(() => {
  const { user, system } = process.cpuUsage();
  const now = { cases: Atomics.load(progress, 0), cpuMs: (user + system) / 1000, ms: performance.now() };
  if (now.cases !== since.cases) since = now;
  else if (now.cpuMs - since.cpuMs > HANGS.cpuMs || now.ms - since.ms > HANGS.ms) fail('it hangs');
}, LOOK_MS);

worker.on('error', (error) => fail(error.stack ?? error.message));
worker.on('exit', () => {
  clearInterval(watch);
  if (process.exitCode === undefined) fail('it was never answered');
});
worker.on('message', ({ cases, statuses, findings, slowest, heap }: FuzzReport) => {
  const seconds = (performance.now() - started) / 1000;
  console.log(`${cases} cases from seed ${seed} in ${seconds.toFixed(1)} s (${(cases / seconds).toFixed(0)}/s)`);
  console.log(
    `statuses ${JSON.stringify(statuses)}; heap ${heap.map((bytes) => (bytes / 1e6).toFixed(1)).join(' to ')} MB`,
  );
  console.log(`slowest:\n${slowest.join('\n')}`);
  process.exitCode = findings > 0 ? 1 : 0;
});
