import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MdnsNetwork } from '../../../daemon/mdns-socket.ts';
import { mdnsNetworks } from '../../../daemon/mdns-sockets.ts';
import { ownInterface } from '../../fixtures/own-interfaces.ts';

const keys = (networks: readonly MdnsNetwork[]): string[] => networks.map(({ key }) => key);

test('C3: an interface that was made again is another one, whatever stayed the same', () => {
  const wired = ownInterface('eth0', '192.168.1.20/24', 'fe80::20/64');
  const before = keys(mdnsNetworks([wired]));
  assert.equal(before.length, 2);
  assert.deepEqual(keys(mdnsNetworks([{ ...wired }])), before);
  for (const change of [{ index: 3 }, { mac: '02:fc:00:00:00:02' }, { name: 'eth1' }]) {
    const after = keys(mdnsNetworks([{ ...wired, ...change }]));
    assert.ok(!after.some((key) => before.includes(key)), JSON.stringify(change));
  }
  const moved = keys(mdnsNetworks([ownInterface('eth0', '192.168.1.99/24', 'fe80::20/64', 'fd88::1/64')]));
  assert.ok(
    moved[0] !== before[0] && moved[1] === before[1],
    'another IPv4 address is another network, an IPv6 one is not',
  );
});

test('C16: each interface speaks the families that it has; what has no network speaks to itself', () => {
  const ways = (cidrs: string[]): string[] => mdnsNetworks([ownInterface('lan', ...cidrs)]).map((n) => n.interface);
  assert.deepEqual(ways(['fe80::20/64', 'fd88::20/64']), ['::%lan']);
  assert.deepEqual(ways(['192.168.1.20/24', '10.0.0.1/8', 'fd88::20/64']), ['192.168.1.20', '10.0.0.1', '::%lan']);
  assert.deepEqual(
    mdnsNetworks([]).map((network) => network.interface),
    ['127.0.0.1'],
  );
  const ports = [ownInterface('veth12ab', 'fe80::5/64'), ownInterface('utun2', 'fe80::6/64')];
  assert.deepEqual(
    mdnsNetworks([...ports, ownInterface('eth0', 'fe80::7/64')]).map(({ name }) => name),
    ['eth0'],
    'ports of bridges are no networks',
  );
  const virtual = Array.from({ length: 40 }, (_, i) => ownInterface(`veth${i}`, `172.18.${i}.1/24`));
  const bounded = mdnsNetworks([...virtual, ownInterface('eth0', '192.168.1.20/24')]);
  assert.equal(bounded.length, 32);
  assert.equal(bounded[0]?.name, 'eth0', 'real networks go before virtual ones');
});
