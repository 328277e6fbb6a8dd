import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialOrder } from '../../../daemon/dial-order.ts';
import { interfacesOf, kindOf } from '../../../daemon/network-interfaces.ts';
import { ownInterface } from '../../fixtures/own-interfaces.ts';

const laptop = [
  ownInterface('lan0', '192.168.1.20/24', 'fe80::20/64', 'fd88::20/64'),
  ownInterface('wg0', '10.8.0.3/24'),
  ownInterface('docker0', '172.17.0.1/16'),
];

test('C15: addresses are dialled nearest first, this machine’s own and its containers’ last', () => {
  const announced = [
    '172.17.0.1',
    '10.8.0.9',
    '203.0.113.5',
    '172.17.0.9',
    'fe80::9%lan0',
    '10.1.2.3',
    'fd99::9',
    'fd88::9',
    '192.168.1.9',
  ];
  assert.deepEqual(dialOrder(announced, laptop), [
    '192.168.1.9',
    'fd88::9',
    'fe80::9%lan0',
    '10.1.2.3',
    'fd99::9',
    '10.8.0.9',
    '203.0.113.5',
    '172.17.0.9',
    '172.17.0.1',
  ]);
});

test('C15: a device on this very machine keeps the order that it gave; nothing comes twice, and nothing odd', () => {
  assert.deepEqual(dialOrder(['192.168.1.20', '10.8.0.3'], laptop), ['192.168.1.20', '10.8.0.3']);
  assert.deepEqual(dialOrder(['FD88::9', '::ffff:192.168.1.9', '192.168.1.9', 'fd88:0::9', 'x', ''], laptop), [
    '192.168.1.9',
    'fd88::9',
  ]);
  assert.deepEqual(dialOrder(['10.0.0.1', '8.8.8.8'], []), ['10.0.0.1', '8.8.8.8']);
});

test('what an interface leads to is told by its name, or its want of a hardware address', () => {
  const mac = '02:fc:00:00:00:01';
  const kinds = {
    network: ['eth0', 'wlp3s0', 'br-lan', 'br0', 'en0', 'bond0', 'Ethernet', 'enx0011'],
    tunnel: ['wg0', 'tun0', 'utun3', 'tailscale0', 'ppp0'],
    container: ['docker0', 'br-0123456789ab', 'veth12ab', 'virbr0', 'cni0', 'podman1', 'vEthernet (WSL)'],
  };
  for (const [kind, names] of Object.entries(kinds))
    for (const name of names) assert.equal(kindOf(name, mac), kind, name);
  assert.equal(kindOf('secure0', '00:00:00:00:00:00'), 'tunnel');
});

test('C3: an interface brings the system’s number of it, by whichever way that is known', () => {
  const four = {
    address: '10.0.0.1',
    netmask: '',
    mac: 'm',
    internal: false,
    cidr: '10.0.0.1/8',
    family: 'IPv4',
  } as const;
  const six = { ...four, address: 'fe80::1', cidr: 'fe80::1/64', family: 'IPv6', scopeid: 7 } as const;
  const [both, lone] = interfacesOf({ a: [four, six], b: [four], lo: [{ ...four, internal: true }] }, () => 3);
  assert.deepEqual([both?.index, lone?.index], [7, 3]);
  assert.deepEqual(both?.addresses, [
    { address: '10.0.0.1', family: 4, prefix: 8 },
    { address: 'fe80::1', family: 6, prefix: 64 },
  ]);
});
