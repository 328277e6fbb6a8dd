import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Announcement, PeerTable, parseAnnouncement } from '../../../daemon/peers.ts';

const ID = '0123456789abcdef';
const good = {
  name: ID,
  port: 7411,
  txt: { id: ID, name: 'Küche 2', keyId: '89abcdef', protocol: '1' },
  addresses: ['192.168.1.9', '127.0.0.1', 'fe80::1', 'fd00::9', '172.17.0.1', 'nonsense', 5],
  referer: { address: '192.168.1.7' },
};

test('a sound announcement becomes a peer; the sender’s own address comes first', () => {
  assert.deepEqual(parseAnnouncement(good, 12), {
    id: ID,
    name: 'Küche 2',
    keyId: '89abcdef',
    protocol: 1,
    run: null,
    host: '192.168.1.7',
    port: 7411,
    addresses: ['192.168.1.7', '192.168.1.9', 'fd00::9', '172.17.0.1'],
    lastSeen: 12,
  });
});

test('every malformed field is refused', () => {
  const txt = (change: object): Announcement => ({ ...good, txt: { ...good.txt, ...change } });
  const bad: Announcement[] = [
    {},
    { ...good, txt: undefined },
    { ...good, txt: 'id=x' },
    { ...good, name: 'fedcba9876543210' },
    { ...good, port: 0 },
    { ...good, port: 65536 },
    { ...good, port: '7411' },
    { ...good, port: Number.NaN },
    { ...good, addresses: undefined, referer: undefined },
    { ...good, addresses: ['127.0.0.1', '0.0.0.0', '::', '::1', '224.0.0.251', 'ff02::fb'], referer: undefined },
    txt({ id: ID.toUpperCase() }),
    txt({ id: '../etc' }),
    txt({ name: '' }),
    txt({ name: 'x'.repeat(64) }),
    txt({ name: 'bell\u0007' }),
    txt({ name: '\u001b[31mred' }),
    txt({ name: ['x'] }),
    txt({ keyId: '89abcde' }),
    txt({ keyId: undefined }),
    txt({ protocol: '01' }),
    txt({ protocol: '1e9' }),
    txt({ protocol: '999999' }),
    { ...good, txt: Object.create(good.txt) },
  ];
  for (const announcement of bad) assert.equal(parseAnnouncement(announcement, 0), null, JSON.stringify(announcement));
});

test('the number of addresses is bounded', () => {
  const addresses = Array.from({ length: 100 }, (_, i) => `10.0.0.${i + 1}`);
  assert.equal(parseAnnouncement({ ...good, addresses }, 0)?.addresses.length, 8);
});

test('the table tells news, forgets the silent, and is bounded', () => {
  const table = new PeerTable({ maxPeers: 3, expireMs: 100 });
  const peer = (n: number, now: number, port = 1) => {
    const id = String(n).padStart(16, '0');
    const parsed = parseAnnouncement({ ...good, name: id, port, txt: { ...good.txt, id } }, now);
    assert.ok(parsed);
    return parsed;
  };
  assert.equal(table.seen(peer(2, 0)), true);
  assert.equal(table.seen(peer(1, 0)), true);
  assert.equal(table.seen(peer(1, 60)), false);
  assert.equal(table.seen(peer(2, 20, 9)), true, 'a new port is news');
  assert.equal(table.seen(peer(3, 60)), true);
  assert.equal(table.seen(peer(4, 60)), false, 'a fourth finds no place');
  assert.deepEqual(
    table.expire(121).map(({ id }) => id),
    ['0000000000000002'],
  );
  assert.deepEqual(
    table.list().map(({ lastSeen }) => lastSeen),
    [60, 60],
  );
  assert.equal(table.seen(peer(4, 130)), true);
  assert.equal(table.remove('0000000000000001')?.port, 1);
  assert.equal(table.remove('0000000000000001'), undefined);
});

test('C15: what is told of a device on several networks is put together, and forgotten address by address', () => {
  const table = new PeerTable({ maxPeers: 3, expireMs: 100 });
  const tell = (address: string, now: number, change = {}): boolean => {
    const peer = parseAnnouncement({ ...good, addresses: [], referer: { address }, ...change }, now);
    assert.ok(peer);
    return table.seen(peer);
  };
  const known = (): readonly string[] | undefined => table.list()[0]?.addresses;
  assert.equal(tell('192.168.1.7', 0), true);
  assert.equal(tell('fe80::7%eth0', 10), true, 'another address is news');
  assert.equal(tell('192.168.1.7', 50), false);
  assert.deepEqual(known(), ['192.168.1.7', 'fe80::7%eth0']);
  tell('192.168.1.7', 120);
  assert.deepEqual(known(), ['192.168.1.7'], 'the other was not heard of for too long');
  tell('192.168.1.8', 130, { port: 9 });
  assert.deepEqual(known(), ['192.168.1.8'], 'one that was started anew is where it says');
  for (let i = 1; i <= 40; i++) tell(`10.0.0.${i}`, 130, { port: 9 });
  assert.equal(known()?.length, 16);
  assert.equal(known()?.[0], '10.0.0.40');
});
