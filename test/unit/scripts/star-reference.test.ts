import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { coreCount } from '../../../scripts/cores.ts';
import { measureReferenceStar } from '../../../scripts/star-reference.ts';
import { withoutC } from './needs-c.ts';

describe('reference star', { skip: withoutC }, () => {
  for (const mode of ['blocking', 'polling'] as const) {
    it(`measures rounds of ${mode} processes beyond what they compute`, async () => {
      const star = { outBytes: 2600, backBytes: 7200, computeMs: 0.05, rounds: 200, mode };
      const { p50Us, p90Us, sharedCores } = await measureReferenceStar({ ...star, devices: 1 });
      assert.ok(p50Us > 0 && p50Us <= p90Us, `${p50Us} ${p90Us}`);
      assert.equal(sharedCores, coreCount() < 2);
      const crowded = await measureReferenceStar({ ...star, rounds: 20, devices: coreCount() });
      assert.equal(crowded.sharedCores, true);
      assert.ok(crowded.p50Us > 0);
    });
  }
});
