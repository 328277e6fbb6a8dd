import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processMemory } from '../../../../daemon/process-memory.ts';
import type { Rates } from '../../../../daemon/profile/device-profile.ts';
import { measureAttention, measureFormat } from '../../../../daemon/profile/measure-engine.ts';
import { bestBackend } from '../../../../kernels/create-kernels.ts';

/** Between a slow board that others use as well and the fastest memory there is, in bytes a millisecond. */
function assertPlausible(rates: Rates, what: string): void {
  for (const [name, rate] of Object.entries(rates)) {
    assert.ok(rate > 1e3 && rate < 1e9, `${what} ${name}: ${rate} bytes a millisecond`);
  }
  // Others may have the cores just then, but threads together are not a small part of one.
  assert.ok(rates.all > rates.lone / 12, `${what}: ${rates.all} of all, ${rates.lone} of one`);
  // 64 rows pass over the weights no faster than one, and not 64 times slower by far.
  assert.ok(rates.wide < rates.all * 2 && rates.wide > rates.all / 640, `${what}: ${rates.wide}, ${rates.all} of one`);
}

test('rates of weights, attention and phases are such as computers have', async () => {
  const compute = { backend: bestBackend(), threads: 2, memory: processMemory(1e9) };
  const { attention, phaseMs } = await measureAttention(compute);
  assertPlausible(attention, 'attention');
  assert.ok(phaseMs > 0 && phaseMs < 50, `${phaseMs} ms a phase`);
  assertPlausible(await measureFormat('Q8_0', phaseMs, compute), 'Q8_0');
});

test('a small budget is measured with less, a smaller one is refused, and an abort is heard', async () => {
  const memory = (budget: number) => ({ budget: () => budget, base: async () => 100e6, threadBytes: 10e6 });
  const compute = { backend: bestBackend(), threads: 1 };
  const rates = await measureFormat('Q4_0', 0, { ...compute, memory: memory(126e6) });
  assertPlausible(rates, 'Q4_0');
  const tooSmall = { ...compute, memory: memory(112e6) };
  await assert.rejects(measureFormat('Q4_0', 0, tooSmall), { code: 'memory_too_small', message: /^112 MB/ });
  const aborted = { ...compute, memory: memory(126e6), signal: AbortSignal.abort() };
  await assert.rejects(measureFormat('Q4_0', 0, aborted), { code: 'cancelled' });
});
