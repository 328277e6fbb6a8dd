import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { claimTask, publishJob, WORD } from '../../../../daemon/engine/control-block.ts';
import { LATE, phaseOf, tasksOfPhase } from '../../../fixtures/late-worker.ts';

test('a worker that comes late to a job never takes a task that the job did not have', async () => {
  const words = new Int32Array(new SharedArrayBuffer(LATE.words * 4));
  const worker = new Worker(new URL('../../../fixtures/late-worker.js', import.meta.url), { workerData: words });
  try {
    await new Promise((resolve) => worker.once('online', resolve));
    while (Atomics.load(words, LATE.ready) === 0);
    for (let job = 1; job <= 300_000; job++) {
      const tasks = tasksOfPhase(phaseOf(job));
      publishJob(words, job, { layer: 0, phase: phaseOf(job), rows: { first: 0, count: 1 }, tasks, listed: false });
      while (claimTask(words, job, tasks) >= 0) Atomics.add(words, WORD.done, 1);
      while (Atomics.load(words, WORD.done) < tasks);
    }
    assert.equal(Atomics.load(words, LATE.wrong), 0);
  } finally {
    Atomics.store(words, WORD.stop, 1);
    await worker.terminate();
  }
});
