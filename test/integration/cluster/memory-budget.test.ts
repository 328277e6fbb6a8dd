import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bestBackend } from '../../../kernels/create-kernels.ts';
import { benchWindow } from '../../../scripts/bench-window.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

test('no process exceeds its budget, and streaming changes no bit', async (t) => {
  if (process.platform !== 'linux') return t.skip('measured through /proc, which is a feature of Linux');
  const report = await benchWindow({
    shape: 'tinyllama-1.1b',
    quant: 'Q4_0',
    layers: 10,
    devices: 2,
    memory: 220e6,
    coordinatorMemory: 260e6,
    threads: 1,
    backend: bestBackend(),
    context: 128,
    // As many rows as a step can have: buffers are touched to their ends.
    prompt: 64,
    tokens: 6,
    folder: temporaryFolder(t),
    diskBytes: 2 ** 26,
  });
  t.diagnostic(JSON.stringify(report));
  const [one, two, coordinator] = report.peak_rss_mb;
  // A process that starts has some tens of MB: less would mean that the wrong process was looked at.
  for (const peak of [one!, two!]) assert.ok(peak > 100 && peak <= 220, `${peak} MB, at most 220 are allowed`);
  assert.ok(coordinator! > 100 && coordinator! <= 260, `${coordinator} MB, at most 260 are allowed`);
  assert.equal(report.same_logits, true);
  const share = report.tile_bytes / 2;
  for (const { name, bytes_read_per_token } of report.device_reports.slice(0, 2)) {
    assert.ok(bytes_read_per_token > share / 4 && bytes_read_per_token < share, `${name}: ${bytes_read_per_token}`);
  }
});
