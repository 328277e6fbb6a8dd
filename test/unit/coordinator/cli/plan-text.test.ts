import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planText } from '../../../../coordinator/cli/plan-text.ts';
import type { PlanReport } from '../../../../coordinator/cluster/planner/plan-report.ts';

const times = { token_ms: 12, prompt_ms: 1500, prompt_tokens: 1000 };
const kitchen = { id: 'b', name: 'kitchen', share: 0.25, memory_bytes: 2e8, budget_bytes: 1e9 };
const REPORT: PlanReport = {
  ...{ model: 'Llama', context: 4096, users: 1 },
  plan: {
    ...{ ...times, binding: 'compute', head: 'local' },
    devices: [
      {
        ...{ id: 'own', name: 'this device', share: 0.75, memory_bytes: 7e8, budget_bytes: 16e9, read_bytes: 0 },
        ...{ compute_ms: 10, disk_ms: 0, network_ms: 0 },
      },
      { ...kitchen, read_bytes: 4e6, compute_ms: 8, disk_ms: 4, network_ms: 2 },
    ],
    left_out: [{ id: 'c', name: 'attic', reason: 'slower', token_ms: 90, why: 'attic is left out: it is far' }],
  },
  alternatives: [
    { kind: 'alone', devices: ['own'], title: 'this device alone', times, why: null },
    { kind: 'alone', devices: ['b'], title: 'kitchen alone', times: null, why: 'its memory is too small' },
  ],
};

test('a plan is a table of devices, those left out, and what others would take', () => {
  assert.equal(
    planText(REPORT, true),
    `Llama, 1 user, 4096 tokens of context: 12 ms a token, 1.5 s for a prompt of 1000 tokens
compute binds; the head is computed by this device

device       share           memory  read a token  compute     disk  network
this device    75%  700 of 16000 MB                  10 ms                    ███████████████░░░░░
kitchen        25%   200 of 1000 MB          4 MB  8.00 ms  4.00 ms  2.00 ms  █████░░░░░░░░░░░░░░░

attic is left out: it is far

Others would take:
this device alone  12 ms a token, 1.5 s for a prompt of 1000 tokens
kitchen alone      impossible: its memory is too small
`,
  );
  assert.doesNotMatch(planText(REPORT, false), /[█░]/);
});

test('without a plan it says so, and what is lacking', () => {
  const text = planText({ ...REPORT, plan: null, users: 4 }, false);
  assert.match(text, /^Llama, 4 users, 4096 tokens of context: these devices cannot hold it\n\nOthers would take:\n/);
  assert.match(text, /^kitchen alone {6}impossible: its memory is too small$/m);
});
