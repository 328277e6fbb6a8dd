import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tokenReport } from '../../../../coordinator/cluster/account-report.ts';
import { Accounting, accountBetween, bindingConstraint } from '../../../../coordinator/cluster/accounting.ts';

const usage = (device: number, computeMs: number, diskMs: number, wallMs: number, bytesRead = 0) => ({
  device,
  computeMs,
  diskMs,
  wallMs,
  bytesRead,
});

test('what a device was waited for beyond its own time is the network', () => {
  const accounting = new Accounting(2);
  accounting.addPhase([usage(0, 3, 0, 3), usage(1, 2, 1, 10, 500)]);
  accounting.addPhase([usage(0, 5, 1, 6, 100), usage(1, 2, 0, 2)]);
  accounting.addStep(20);
  assert.deepEqual(accounting.snapshot(), {
    steps: 1,
    ms: 20,
    // The second device in the first phase, the first in the second.
    critical: { compute: 2 + 5, disk: 1 + 1, network: 7 },
    devices: [
      { computeMs: 8, diskMs: 1, networkMs: 0, bytesRead: 100 },
      { computeMs: 4, diskMs: 1, networkMs: 7, bytesRead: 500 },
    ],
  });
});

test('a snapshot does not change, and what lies between two is counted', () => {
  const accounting = new Accounting(1);
  accounting.addPhase([usage(0, 1, 2, 3, 4)]);
  accounting.addStep(5);
  const before = accounting.snapshot();
  accounting.addPhase([usage(0, 10, 20, 30, 40)]);
  accounting.addStep(50);
  assert.equal(before.devices[0]!.bytesRead, 4);
  assert.deepEqual(accountBetween(before, accounting.snapshot()), {
    steps: 1,
    ms: 50,
    critical: { compute: 10, disk: 20, network: 0 },
    devices: [{ computeMs: 10, diskMs: 20, networkMs: 0, bytesRead: 40 }],
  });
});

test('usage that reaches over more than its phase makes no time negative', () => {
  const accounting = new Accounting(1);
  accounting.addPhase([usage(0, 100, 50, 10)]);
  assert.equal(accounting.snapshot().devices[0]!.networkMs, 0);
});

test('the constraint that took most of the time binds', () => {
  assert.equal(bindingConstraint({ compute: 3, disk: 2, network: 1 }), 'compute');
  assert.equal(bindingConstraint({ compute: 1, disk: 3, network: 2 }), 'disk');
  assert.equal(bindingConstraint({ compute: 1, disk: 2, network: 3 }), 'network');
  assert.equal(bindingConstraint({ compute: 0, disk: 0, network: 0 }), 'compute');
});

test('a report is of a token, by device', () => {
  const accounting = new Accounting(2);
  for (let step = 0; step < 4; step++) {
    accounting.addPhase([usage(0, 1, 0, 1), usage(1, 2, 6, 10, 1000)]);
    accounting.addStep(11);
  }
  const account = accountBetween(new Accounting(2).snapshot(), accounting.snapshot());
  assert.deepEqual(tokenReport(account, ['here', 'there']), {
    binding: 'disk',
    devices: [
      {
        name: 'here',
        bytes_read_per_token: 0,
        compute_ms_per_token: 1,
        disk_wait_ms_per_token: 0,
        network_wait_ms_per_token: 0,
        binding: 'compute',
      },
      {
        name: 'there',
        bytes_read_per_token: 1000,
        compute_ms_per_token: 2,
        disk_wait_ms_per_token: 6,
        network_wait_ms_per_token: 2,
        binding: 'disk',
      },
    ],
  });
});
