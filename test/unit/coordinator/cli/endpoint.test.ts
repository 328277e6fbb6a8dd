import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listenHost } from '../../../../coordinator/cli/endpoint.ts';
import { endpoints } from '../../../../coordinator/cli/options.ts';
import { resolveHost } from '../../../../daemon/protocol/resolve-host.ts';
import { reachableAt } from '../../../../daemon/reachable-at.ts';

test('C16: devices are named by name, IPv4 and IPv6, with brackets and without', () => {
  const read: Record<string, [string, number]> = {
    'kitchen.local': ['kitchen.local', 7828],
    'kitchen:99': ['kitchen', 99],
    '192.168.1.20': ['192.168.1.20', 7828],
    '192.168.1.20:7': ['192.168.1.20', 7],
    'fd88::1': ['fd88::1', 7828],
    '[fd88::1]': ['fd88::1', 7828],
    '[FD88:0::1]:7': ['fd88::1', 7],
    '::1': ['::1', 7828],
    '::ffff:192.168.1.5': ['192.168.1.5', 7828],
    '[::ffff:c0a8:105]:7': ['192.168.1.5', 7],
    'fe80::1%eth0': ['fe80::1%eth0', 7828],
    '[fe80::1%eth0]:7828': ['fe80::1%eth0', 7828],
    '[fe80::1%25en0]:7': ['fe80::1%en0', 7],
    'fe80::1%7': ['fe80::1%7', 7828],
  };
  for (const [text, [host, port]] of Object.entries(read)) assert.deepEqual(endpoints(text), [{ host, port }], text);
  assert.deepEqual(endpoints('b', [{ host: 'a', port: 1 }]), [
    { host: 'a', port: 1 },
    { host: 'b', port: 7828 },
  ]);
});

test('C16: what is no address is refused with what to write', () => {
  const refused: [string, RegExp][] = [
    ['', /host:port is expected/],
    ['http://kitchen:7828', /host:port is expected/],
    ['kitchen/7828', /host:port is expected/],
    ['kitchen:', /host:port is expected/],
    ['kitchen:99999', /port from 1 to 65535/],
    ['kitchen:0', /port from 1 to 65535/],
    ['[fd88::1', /host:port is expected.*needs brackets/],
    ['[]', /host:port is expected/],
    ['[kitchen]:7', /IPv6 address is expected in the brackets/],
    ['[192.168.1.20]', /IPv6 address is expected in the brackets/],
    ['fd88::1::2', /needs brackets/],
    ['fe80::1%eth0:7828', /needs brackets/],
    ['fe80::1', /interface.*fe80::1%eth0/],
    ['[fe80::1]:7828', /interface.*fe80::1%eth0/],
  ];
  for (const [text, why] of refused) assert.throws(() => endpoints(text), { message: why }, text);
});

test('C16: an address to listen at has no port, and may be IPv6', () => {
  assert.deepEqual(['::', '[::1]', '0.0.0.0', 'localhost', 'fe80::1%eth0'].map(listenHost), [
    '::',
    '::1',
    '0.0.0.0',
    'localhost',
    'fe80::1%eth0',
  ]);
  assert.throws(() => listenHost('0.0.0.0:80'), /--port/);
  assert.throws(() => listenHost('fe80::1'), /interface/);
});

test('C16: what listens at all addresses is reached at a loopback one that exists', () => {
  assert.equal(reachableAt('0.0.0.0'), '127.0.0.1');
  assert.equal(
    reachableAt('::', () => true),
    '::1',
  );
  assert.equal(
    reachableAt('::', () => false),
    '127.0.0.1',
  );
  assert.equal(reachableAt('fd88::1'), 'fd88::1');
});

test('C16: a name leads to all of its addresses, and one that is none says so', async () => {
  const dial = { port: 7828, timeoutMs: 5000 };
  assert.ok((await resolveHost({ ...dial, host: 'localhost' })).includes('127.0.0.1'));
  assert.deepEqual(await resolveHost({ ...dial, host: 'fe80::1%eth0' }), ['fe80::1%eth0']);
  await assert.rejects(resolveHost({ ...dial, host: 'localhost', signal: AbortSignal.abort() }), { code: 'cancelled' });
  await assert.rejects(resolveHost({ ...dial, timeoutMs: 1000, host: 'nobody.invalid' }), {
    code: 'device_unreachable',
    message: /nobody\.invalid:7828/,
  });
});
