import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type Advertised, announcedAddresses } from '../../../daemon/announcement.ts';
import { BonjourNetwork } from '../../../daemon/bonjour-network.ts';
import { CopiedIdentities } from '../../../daemon/copied-identities.ts';
import { type Announcement, type Peer, parseAnnouncement } from '../../../daemon/peers.ts';
import { ownInterface } from '../../fixtures/own-interfaces.ts';

const device = {
  id: '0123456789abcdef',
  name: 'Küche',
  keyId: '89abcdef',
  protocol: 4,
  port: 7828,
  run: '00112233445566ff',
};

/** Two ends of a network: what one sends the other receives. */
function wired(from: string) {
  const heard: Announcement[] = [];
  const gone: string[] = [];
  const ends: BonjourNetwork[] = [];
  const end = (other: number): BonjourNetwork =>
    new BonjourNetwork({
      send: (packet, done) => {
        ends[other]?.receive(Buffer.from(packet), from);
        done();
      },
      onHeard: (announcement) => void heard.push(announcement),
      onGone: (name) => void gone.push(name),
    });
  ends.push(end(1), end(0));
  const [teller, listener] = ends as [BonjourNetwork, BonjourNetwork];
  return { teller, listener, heard, gone };
}

test('C16: an announcement brings addresses of both families, and its listener the zone of link-local ones', async () => {
  const { teller, listener, heard, gone } = wired('fe80::9%eth0');
  listener.ask();
  await turn();
  teller.tell(device as Advertised, ['192.168.1.9', 'fd88::9', 'fe80::9']);
  await turn();
  const peer = parseAnnouncement({ ...heard[0], zone: 'eth0' }, 0);
  assert.deepEqual(peer?.addresses, ['fe80::9%eth0', '192.168.1.9', 'fd88::9']);
  assert.deepEqual([peer?.name, peer?.run], ['Küche', device.run]);
  const before = heard.length;
  // A browser of its own tells again what is still there.
  listener.ask();
  await turn();
  assert.ok(heard.length > before);
  teller.tell(device as Advertised, ['192.168.1.10']);
  await turn();
  listener.ask();
  await turn();
  assert.deepEqual(heard.at(-1)?.addresses, ['192.168.1.10'], 'former addresses are not told any more');
  teller.sayGoodbye(() => {});
  await turn();
  assert.deepEqual(gone, [device.id]);
});

test('C16: addresses that name no machine are refused in any spelling', async () => {
  const { teller, listener, heard } = wired('fd88::1');
  listener.ask();
  await turn();
  teller.tell(device as Advertised, []);
  await turn();
  const addresses = ['::ffff:127.0.0.1', '0:0:0:0:0:0:0:1', 'FF02::FB', '::', 'fe80::1%lo', 'fd88:0:0::9'];
  const peer = parseAnnouncement({ ...heard[0], referer: undefined, addresses, zone: 'eth0' }, 0);
  assert.deepEqual(peer?.addresses, ['fd88::9']);
});

test('packets that are malformed, or too long for what they are, are passed over', async () => {
  const { listener, heard } = wired('10.0.0.1');
  listener.ask();
  await turn();
  for (const packet of [Buffer.from('000084000000ffff00000000', 'hex'), Buffer.alloc(0), Buffer.alloc(20_000, 0x84)]) {
    listener.receive(packet, '10.0.0.1');
  }
  await turn();
  assert.deepEqual(heard, []);
});

test('one packet costs no more than a little: not too many records are read, nor one question answered twice', async () => {
  const { teller, listener, heard } = wired('10.0.0.1');
  await turn();
  teller.tell(device as Advertised, ['10.0.0.1']);
  await turn();
  const label = (text: string): Buffer => Buffer.from([text.length, ...Buffer.from(text)]);
  const name = Buffer.concat([label('_starling'), label('_tcp'), label('local'), Buffer.of(0)]);
  const asking = (times: number): Buffer => {
    const header = Buffer.alloc(12);
    header.writeUInt16BE(times, 4);
    return Buffer.concat([
      header,
      ...Array.from({ length: times }, () => Buffer.concat([name, Buffer.of(0, 12, 0, 1)])),
    ]);
  };
  listener.ask();
  await turn();
  const before = heard.length;
  let answers = 0;
  const counted = new BonjourNetwork({
    send: (_packet, done) => {
      answers++;
      done();
    },
    onHeard: () => {},
    onGone: () => {},
  });
  counted.tell(device as Advertised, ['10.0.0.1']);
  await turn();
  answers = 0;
  counted.receive(asking(30), '10.0.0.2');
  await turn();
  assert.equal(answers, 1);
  counted.receive(asking(300), '10.0.0.2');
  await turn();
  assert.equal(answers, 1);
  const flood = Buffer.alloc(9000);
  flood.writeUInt16BE(0x8400, 2);
  flood.writeUInt16BE(600, 6);
  listener.receive(flood, '10.0.0.3');
  assert.equal(heard.length, before);
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

test('C8: an id that two devices announce in turns is copied; one that was started again is not', () => {
  const peer = (run: string | null, name = 'pi'): Peer => ({
    ...{
      id: device.id,
      name,
      keyId: device.keyId,
      protocol: 5,
      run,
      host: '10.0.0.1',
      port: 1,
      addresses: [],
      lastSeen: 0,
    },
  });
  const heard = (...runs: (string | null)[]) => {
    const copied = new CopiedIdentities();
    for (const run of runs) copied.heard(peer(run, run === 'b' ? 'copy' : 'pi'));
    return copied.list();
  };
  assert.deepEqual(heard('a', 'a', 'b', 'b'), []);
  assert.deepEqual(heard(null, 'a', null, 'a'), []);
  assert.deepEqual(heard('a', 'b', 'a'), [
    { id: device.id, keyId: device.keyId, devices: ['copy at 10.0.0.1', 'pi at 10.0.0.1'] },
  ]);
});
