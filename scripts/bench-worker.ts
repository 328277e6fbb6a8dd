import { parentPort, workerData } from 'node:worker_threads';
import type { ArenaHandle } from '../kernels/arena.ts';
import { openKernels } from '../kernels/create-kernels.ts';
import { prepareStep, type StepWork } from './bench-step.ts';
import { type KernelWork, runWork } from './bench-work.ts';

export interface BenchWorkerData {
  /** Null for a worker that reads memory only. */
  readonly handle: ArenaHandle | null;
  /** One word: how many workers have arrived at a start so far. */
  readonly arrivals: Int32Array;
}

/** Compares the halves of a buffer of the worker's own: both are read once. */
export interface CompareWork {
  readonly op: 'compare';
  readonly bytes: number;
}

export interface BenchJob {
  readonly work: KernelWork | StepWork | CompareWork;
  /** Start when so many have arrived, which is when all workers of this repetition have. */
  readonly arrivals: number;
}

/** Nanoseconds on a clock that all threads share. */
export interface BenchTimes {
  readonly start: number;
  readonly end: number;
}

/** Looks at the word before a worker sleeps: some tens of microseconds. */
const SPINS = 4000;

function work({ handle, arrivals }: BenchWorkerData): void {
  const port = parentPort;
  if (port === null) throw new Error('bench-worker runs as a worker thread');
  const kernels = handle === null ? null : openKernels(handle);
  let compared = Buffer.alloc(0);

  const prepare = ({ work: wanted }: BenchJob): (() => boolean) => {
    if (wanted.op !== 'compare') {
      if (kernels === null || handle === null) throw new Error('this worker has no kernels');
      if (wanted.op === 'step') return prepareStep(kernels, handle, wanted);
      return () => runWork(kernels, wanted);
    }
    if (compared.length !== wanted.bytes) compared = Buffer.alloc(wanted.bytes, 1);
    const [left, right] = [compared.subarray(0, wanted.bytes / 2), compared.subarray(wanted.bytes / 2)];
    return () => left.equals(right);
  };

  port.on('message', (job: BenchJob) => {
    const run = prepare(job);
    arrive(arrivals, job.arrivals);
    const start = Number(process.hrtime.bigint());
    const fine = run();
    const end = Number(process.hrtime.bigint());
    if (!fine) throw new Error(`${job.work.op} refused its input`);
    port.postMessage({ start, end } satisfies BenchTimes);
  });
}

function arrive(arrivals: Int32Array, wanted: number): void {
  if (Atomics.add(arrivals, 0, 1) + 1 === wanted) {
    Atomics.notify(arrivals, 0);
    return;
  }
  for (;;) {
    let now = Atomics.load(arrivals, 0);
    for (let i = 0; i < SPINS && now < wanted; i++) now = Atomics.load(arrivals, 0);
    if (now >= wanted) return;
    Atomics.wait(arrivals, 0, now);
  }
}

work(workerData as BenchWorkerData);
