import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Discovery, type DiscoveryOptions } from '../../../daemon/discovery.ts';
import { MdnsSocket } from '../../../daemon/mdns-socket.ts';
import type { Peer } from '../../../daemon/peers.ts';
import { recordedLog } from '../../fixtures/log-recorder.ts';

const GROUP = '224.0.0.251';
const LOOPBACK = '127.0.0.1';
const id = (n: number): string => String(n).padStart(16, '0');

/** A UDP port of this test's own, on which loopback multicast works here; null where it does not. */
async function multicastPort(): Promise<number | null> {
  const port = 20_000 + (process.pid % 20_000);
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  try {
    socket.bind(port, '0.0.0.0');
    await once(socket, 'listening');
    socket.addMembership(GROUP, LOOPBACK);
    socket.setMulticastInterface(LOOPBACK);
    const heard = once(socket, 'message', { signal: AbortSignal.timeout(1000) });
    socket.send('echo', port, GROUP);
    await heard;
    return port;
  } catch {
    return null;
  } finally {
    socket.close();
  }
}

function discovery(t: TestContext, port: number, options: Partial<DiscoveryOptions> & { id: string }) {
  const { log, lines } = recordedLog();
  const made = new Discovery({ browse: true, log, interface: LOOPBACK, port, ...options });
  t.after(() => made.stop());
  return { discovery: made, lines };
}

const soon = (): AbortSignal => AbortSignal.timeout(8000);
const advertise = { name: 'Küche', keyId: '89abcdef', protocol: 3, port: 7411 };

test('devices find each other, see changes, and hear goodbyes', async (t) => {
  const port = await multicastPort();
  if (port === null) return t.skip('no multicast on loopback here');
  const { discovery: one } = discovery(t, port, { id: id(1), advertise });
  const { discovery: two } = discovery(t, port, { id: id(2) });
  const found = once(two, 'peer', { signal: soon() });
  one.start();
  two.start();
  two.start();
  const [peer] = (await found) as [Peer];
  assert.equal(peer.id, id(1));
  assert.equal(peer.name, 'Küche');
  assert.equal(peer.keyId, '89abcdef');
  assert.equal(peer.protocol, 3);
  assert.equal(peer.port, 7411);
  assert.equal(peer.host, peer.addresses[0]);
  assert.deepEqual(
    two.peers().map((each) => each.id),
    [id(1)],
  );
  assert.deepEqual(one.peers(), [], 'it hears itself and the one that does not advertise: nobody');

  const gone = once(two, 'gone', { signal: soon() });
  await one.stop();
  assert.equal(((await gone) as [Peer])[0].id, id(1));
  assert.deepEqual(two.peers(), []);

  const again = once(two, 'peer', { signal: soon() });
  const { discovery: moved } = discovery(t, port, {
    id: id(1),
    advertise: { ...advertise, port: 7500 },
    browse: false,
  });
  moved.start();
  assert.equal(((await again) as [Peer])[0].port, 7500);
});

test('asking again refreshes those that answer; those that do not expire', async (t) => {
  const port = await multicastPort();
  if (port === null) return t.skip('no multicast on loopback here');
  let now = 0;
  const { discovery: one } = discovery(t, port, { id: id(1), advertise, browse: false });
  const { discovery: two } = discovery(t, port, { id: id(2), now: () => now });
  const found = once(two, 'peer', { signal: soon() });
  one.start();
  two.start();
  await found;
  now = 60_000;
  const deadline = Date.now() + 8000;
  while (two.peers()[0]?.lastSeen !== 60_000 && Date.now() < deadline) await new Promise((r) => setTimeout(r, 50));
  assert.equal(two.peers()[0]?.lastSeen, 60_000);
  now = 150_001;
  const gone = once(two, 'gone');
  assert.deepEqual(two.peers(), []);
  assert.equal(((await gone) as [Peer])[0].id, id(1));
});

test('forged and random packets neither crash it nor make peers', async (t) => {
  const port = await multicastPort();
  if (port === null) return t.skip('no multicast on loopback here');
  const { discovery: two, lines } = discovery(t, port, { id: id(2), advertise });
  two.start();
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  t.after(() => socket.close());
  socket.bind(0, LOOPBACK);
  await once(socket, 'listening');
  socket.setMulticastInterface(LOOPBACK);
  const name = (text: string): Buffer =>
    Buffer.concat([
      ...text.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
      Buffer.alloc(1),
    ]);
  const record = (owner: string, type: number, data: Buffer): Buffer => {
    const fixed = Buffer.alloc(10);
    fixed.writeUInt16BE(type, 0);
    fixed.writeUInt16BE(1, 2);
    fixed.writeUInt32BE(120, 4);
    fixed.writeUInt16BE(data.length, 8);
    return Buffer.concat([name(owner), fixed, data]);
  };
  const srv = (portNumber: number): Buffer => {
    const head = Buffer.alloc(6);
    head.writeUInt16BE(portNumber, 4);
    return Buffer.concat([head, name('h.local')]);
  };
  const txt = (...items: string[]): Buffer =>
    Buffer.concat(items.map((item) => Buffer.concat([Buffer.from([Buffer.byteLength(item)]), Buffer.from(item)])));
  const response = (...records: Buffer[]): Buffer => {
    const header = Buffer.from('000084000000000000000000', 'hex');
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, ...records]);
  };
  const type = '_starling._tcp.local';
  const send = (packet: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      socket.send(packet, port, GROUP, (error) => (error ? reject(error) : resolve()));
    });
  const announce = (n: number, portNumber: number, ...items: string[]): Promise<void> => {
    const instance = `${id(n)}.${type}`;
    return send(
      response(
        record(type, 12, name(instance)),
        record(instance, 33, srv(portNumber)),
        record(instance, 16, txt(...items)),
      ),
    );
  };
  const sound = (n: number): string[] => [`id=${id(n)}`, 'name=x', 'keyId=89abcdef', 'protocol=1'];
  await announce(50, 7411, 'id=zzz', 'name=x', 'keyId=89abcdef', 'protocol=1');
  await announce(51, 7411, ...sound(50));
  await announce(52, 0, ...sound(52));
  await announce(53, 7411, '__proto__=x', 'constructor', '=', 'a');
  await announce(54, 7411, ...sound(54).slice(0, 3));
  await send(response(record(type, 12, name(`${id(55)}.${type}`))));
  await send(Buffer.from('000084000000ffff00000000', 'hex'));
  for (let i = 0; i < 200; i++)
    await send(Buffer.from(Array.from({ length: i % 90 }, (_, j) => (i * 31 + j * 17 + ((i * j) % 7)) & 255)));
  const [first] = await Promise.all([once(two, 'peer', { signal: soon() }), announce(60, 7411, ...sound(60))]);
  assert.equal((first as [Peer])[0].id, id(60));

  for (let n = 100; n < 500; n++) {
    await announce(n, 7411, ...sound(n));
    if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  const count = two.peers().length;
  assert.ok(count > 200 && count <= 256, `${count} peers`);
  assert.deepEqual(
    lines.filter((line) => JSON.parse(line).level >= 40),
    [],
  );
});

test('without a network it warns once and still stops', async (t) => {
  // an exclusive socket on the port makes binding fail as it does where another program keeps mDNS to itself
  const blocker = createSocket({ type: 'udp4' });
  blocker.bind(0, '0.0.0.0');
  await once(blocker, 'listening');
  t.after(() => blocker.close());
  const { discovery: one, lines } = discovery(t, blocker.address().port, { id: id(1), advertise });
  one.start();
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual(one.peers(), []);
  const started = Date.now();
  await one.stop();
  await one.stop();
  assert.ok(Date.now() - started < 2000);
  const warnings = lines.filter((line) => JSON.parse(line).level === 40);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /--peer host:port/);
});

test('an interface that does not exist is a warning, no error', async (t) => {
  const { discovery: one, lines } = discovery(t, 20_000 + ((process.pid + 7) % 20_000), {
    id: id(1),
    advertise,
    interface: '203.0.113.9',
  });
  one.start();
  await new Promise((resolve) => setTimeout(resolve, 200));
  await one.stop();
  assert.equal(lines.filter((line) => JSON.parse(line).level === 40).length, 1);
});

test('C3: a socket whose own packets do not come back is deaf', async (t) => {
  const port = await multicastPort();
  if (port === null) return t.skip('no multicast on loopback here');
  const deafAfterSending = async (addresses: string[]): Promise<boolean> => {
    let heard = (): void => {};
    const back = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const socket = await new Promise<MdnsSocket>((onOpen, onError) => {
      const network = { key: '', family: 4, name: '', interface: LOOPBACK, addresses } as const;
      const made = new MdnsSocket({ network, port, onOpen, onPacket: heard, onError });
      t.after(() => made.close());
    });
    assert.equal(socket.deaf, false, 'nothing was sent');
    socket.send(Buffer.from('x'));
    assert.equal(socket.deaf, true);
    await back;
    return socket.deaf;
  };
  assert.equal(await deafAfterSending([LOOPBACK]), false);
  assert.equal(await deafAfterSending(['192.0.2.1']), true, 'what another network brings proves nothing of this one');
});
