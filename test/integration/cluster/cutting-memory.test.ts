import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureCutting } from '../../../scripts/measure-cutting.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

test('a coordinator cuts a model in memory for one tensor, not for the model', async (t) => {
  if (process.platform !== 'linux') return t.skip('measured through /proc, which is a feature of Linux');
  const report = await measureCutting({ bytes: 300e6, quant: 'Q8_0', folder: temporaryFolder(t) });
  t.diagnostic(JSON.stringify(report));
  assert.ok(report.model_bytes > 250e6 && report.model_bytes < 350e6, `${report.model_bytes}`);
  assert.equal(report.limit_mb, Math.round(2500 + report.largest_tensor_bytes / 1e5) / 10);
  // A process that starts has some tens of MB: less would mean that the wrong process was looked at.
  assert.ok(report.coordinator_peak_rss_mb_while_cutting > 50, `${report.coordinator_peak_rss_mb_while_cutting} MB`);
  assert.ok(
    report.coordinator_peak_rss_mb_while_cutting < report.limit_mb,
    `${report.coordinator_peak_rss_mb_while_cutting} MB while cutting; at most ${report.limit_mb} MB are allowed`,
  );
});
