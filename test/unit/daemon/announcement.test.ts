import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'dns-packet';
import { announce, announcedAddresses, hear, question } from '../../../daemon/announcement.ts';
import { parseAnnouncement } from '../../../daemon/peers.ts';
import { ownInterface } from '../../fixtures/own-interfaces.ts';

const device = { id: '0123456789abcdef', name: 'Küche', keyId: '89abcdef', protocol: 4, port: 7828 };

test('C16: an announcement brings addresses of both families, and its listener the zone of link-local ones', () => {
  const heard = hear(announce(device, ['192.168.1.9', 'fd88::9', 'fe80::9']));
  const peer = parseAnnouncement({ ...heard!.announcements[0], referer: { address: 'fe80::9%eth0' }, zone: 'eth0' }, 0);
  assert.deepEqual(peer?.addresses, ['fe80::9%eth0', '192.168.1.9', 'fd88::9']);
  assert.equal(peer?.name, 'Küche');
  const [without] = heard!.announcements;
  assert.deepEqual(parseAnnouncement(without!, 0)?.addresses, ['192.168.1.9', 'fd88::9']);
});

test('C16: addresses that name no machine are refused in any spelling', () => {
  const addresses = ['::ffff:127.0.0.1', '0:0:0:0:0:0:0:1', 'FF02::FB', '::', 'fe80::1%lo', 'fd88:0:0::9'];
  const peer = parseAnnouncement({ ...hear(announce(device, []))!.announcements[0], addresses, zone: 'eth0' }, 0);
  assert.deepEqual(peer?.addresses, ['fd88::9']);
});

test('a goodbye names its device, and a question those whom it asks', () => {
  assert.deepEqual(hear(announce(device, [], true))?.gone, [device.id]);
  assert.deepEqual(hear(announce(device, [], true))?.announcements, []);
  assert.equal(hear(question())?.asksFor(device.id), true);
  const other = hear(encode({ type: 'query', questions: [{ name: '_ipp._tcp.local', type: 'PTR' }] }));
  assert.equal(other?.asksFor(device.id), false);
  assert.equal(hear(Buffer.from('000084000000ffff00000000', 'hex')), null);
});

test('C15: what is only inside of this machine is not announced beside networks, and tunnels come last', () => {
  const lan = ownInterface('eth0', '192.168.1.20/24', 'fe80::20/64');
  const wifi = ownInterface('wlan0', '192.168.1.21/24', 'fe80::21/64');
  const docker = ownInterface('docker0', '172.17.0.1/16');
  const vpn = ownInterface('wg0', '10.8.0.3/24');
  const all = [docker, vpn, lan, wifi];
  assert.deepEqual(announcedAddresses(all, 'eth0'), ['192.168.1.20', 'fe80::20', '192.168.1.21', '10.8.0.3']);
  assert.deepEqual(announcedAddresses(all, 'docker0'), ['172.17.0.1', '192.168.1.20', '192.168.1.21', '10.8.0.3']);
  assert.deepEqual(announcedAddresses([docker], 'lo'), ['172.17.0.1']);
});

test('a packet full of addresses and of pointers to one device costs no more than its length', () => {
  const { id } = device;
  const pointer = { name: '_starling._tcp.local', type: 'PTR', ttl: 9, data: `${id}._starling._tcp.local` } as const;
  const answers = [
    ...Array.from({ length: 1000 }, () => pointer),
    { name: pointer.data, type: 'SRV', ttl: 9, data: { port: 1, target: 'h.local' } } as const,
    ...Array.from({ length: 1000 }, () => ({ name: 'h.local', type: 'A', ttl: 9, data: '127.0.0.1' }) as const),
  ];
  const announcements = hear(encode({ type: 'response', answers }))?.announcements ?? [];
  assert.equal(announcements.length, 1);
  assert.ok(Array.isArray(announcements[0]?.addresses) && announcements[0].addresses.length === 32);
});
