import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tokenReport } from '../../../../coordinator/cluster/account-report.ts';
import { Accounting, accountBetween, bindingConstraint } from '../../../../coordinator/cluster/accounting.ts';

const usage = (device: string, computeMs: number, diskMs: number, wallMs: number, bytesRead = 0) => ({
  device,
  computeMs,
  diskMs,
  wallMs,
  bytesRead,
});

const named = (id: string) => ({ id, name: `the one ${id}` });

/** Accounts of some devices, by a clock that the test moves. */
function setUp(...ids: string[]) {
  const clock = { ms: 0 };
  return { accounting: new Accounting({ devices: ids.map(named), now: () => clock.ms }), clock };
}

function endStep(accounting: Accounting, clock: { ms: number }, ms: number): void {
  accounting.beginStep(1);
  clock.ms += ms;
  accounting.layersDone();
  accounting.endStep();
}

test('what a device was waited for beyond its own time is the network', () => {
  const { accounting, clock } = setUp('here', 'there');
  accounting.addPhase([usage('here', 3, 0, 3), usage('there', 2, 1, 10, 500)]);
  accounting.addPhase([usage('here', 5, 1, 6, 100), usage('there', 2, 0, 2)]);
  endStep(accounting, clock, 20);
  assert.deepEqual(accounting.snapshot(), {
    steps: 1,
    ms: 20,
    // The second device in the first phase, the first in the second.
    critical: { compute: 2 + 5, disk: 1 + 1, network: 7 },
    devices: [
      { ...named('here'), computeMs: 8, diskMs: 1, networkMs: 0, bytesRead: 100 },
      { ...named('there'), computeMs: 4, diskMs: 1, networkMs: 7, bytesRead: 500 },
    ],
  });
});

test('a snapshot does not change, and what lies between two is counted', () => {
  const { accounting, clock } = setUp('here');
  accounting.addPhase([usage('here', 1, 2, 3, 4)]);
  endStep(accounting, clock, 5);
  const before = accounting.snapshot();
  accounting.addPhase([usage('here', 10, 20, 30, 40)]);
  endStep(accounting, clock, 50);
  assert.equal(before.devices[0]!.bytesRead, 4);
  assert.deepEqual(accountBetween(before, accounting.snapshot()), {
    steps: 1,
    ms: 50,
    critical: { compute: 10, disk: 20, network: 0 },
    devices: [{ ...named('here'), computeMs: 10, diskMs: 20, networkMs: 0, bytesRead: 40 }],
  });
});

test('usage that reaches over more than its phase makes no time negative', () => {
  const { accounting } = setUp('here');
  accounting.addPhase([usage('here', 100, 50, 10)]);
  assert.equal(accounting.snapshot().devices[0]!.networkMs, 0);
});

test('the constraint that took most of the time binds', () => {
  assert.equal(bindingConstraint({ compute: 3, disk: 2, network: 1 }), 'compute');
  assert.equal(bindingConstraint({ compute: 1, disk: 3, network: 2 }), 'disk');
  assert.equal(bindingConstraint({ compute: 1, disk: 2, network: 3 }), 'network');
  assert.equal(bindingConstraint({ compute: 0, disk: 0, network: 0 }), 'compute');
});

test('a report is of a token, by device', () => {
  const { accounting, clock } = setUp('here', 'there');
  for (let step = 0; step < 4; step++) {
    accounting.addPhase([usage('here', 1, 0, 1), usage('there', 2, 6, 10, 1000)]);
    endStep(accounting, clock, 11);
  }
  const account = accountBetween(setUp('here', 'there').accounting.snapshot(), accounting.snapshot());
  assert.deepEqual(tokenReport(account), {
    binding: 'disk',
    devices: [
      {
        id: 'here',
        name: 'the one here',
        bytes_read_per_token: 0,
        compute_ms_per_token: 1,
        disk_wait_ms_per_token: 0,
        network_wait_ms_per_token: 0,
        binding: 'compute',
      },
      {
        id: 'there',
        name: 'the one there',
        bytes_read_per_token: 1000,
        compute_ms_per_token: 2,
        disk_wait_ms_per_token: 6,
        network_wait_ms_per_token: 2,
        binding: 'disk',
      },
    ],
  });
});

test('a step that was given up is not counted, one without a head ends with the next', () => {
  const steps: [number, number][] = [];
  const clock = { ms: 0 };
  const accounting = new Accounting({
    devices: [named('here')],
    onStep: ({ ms }, rows) => steps.push([ms, rows]),
    now: () => clock.ms,
  });
  accounting.beginStep(3);
  clock.ms = 10;
  accounting.beginStep(4);
  clock.ms = 17;
  accounting.layersDone();
  clock.ms = 30;
  assert.deepEqual(steps, []);
  accounting.beginStep(5);
  assert.deepEqual(steps, [[7, 4]]);
  assert.equal(accounting.snapshot().steps, 1);
});
