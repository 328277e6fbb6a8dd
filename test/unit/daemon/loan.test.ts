import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refuseLoan, refuseUse } from '../../../daemon/loan.ts';
import { isSameComputer } from '../../../daemon/protocol/link.ts';

test('a device is lent to its own computer, while nobody uses it', () => {
  assert.equal(refuseLoan(true, null), null);
  assert.deepEqual(
    [refuseLoan(true, { serving: 'tiny' })?.code, refuseLoan(true, { serving: 'tiny' })?.message],
    ['device_busy', 'this device already serves tiny; stop that first'],
  );
  assert.deepEqual(
    [refuseUse({ serving: null })?.code, refuseUse({ serving: null })?.message],
    ['device_busy', 'this device is just measured by another coordinator; try again in a moment'],
  );
  for (const use of [null, { serving: null }, { serving: 'tiny' }])
    assert.equal(refuseLoan(false, use)?.code, 'protocol_invalid_message');
});

test('a connection stays on a computer when it is between addresses of that computer', () => {
  const cases: readonly (readonly [remote: string, local: string, same: boolean])[] = [
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '127.0.0.2', true],
    ['::1', '::1', true],
    ['192.168.1.20', '192.168.1.20', true],
    ['fe80::1%eth0', 'fe80::1%eth0', true],
    ['192.168.1.21', '192.168.1.20', false],
    ['12.7.0.1', '127.0.0.1', false],
    ['::12', '::1', false],
    ['', '', false],
  ];
  for (const [remote, local, same] of cases) assert.equal(isSameComputer(remote, local), same, `${remote} to ${local}`);
});
