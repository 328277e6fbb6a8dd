import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WebSocket } from 'ws';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { type Control, type ControlMessage, MAX_CONTROL, PROTOCOL_VERSION } from '../../../daemon/protocol/control.ts';
import type { ControlLink, ControlLinkOptions } from '../../../daemon/protocol/control-link.ts';
import { type CloseReason, hostPort } from '../../../daemon/protocol/link.ts';
import { dialControl, dialDeadline } from '../../../daemon/protocol/link-client.ts';
import { LinkServer, type LinkServerOptions } from '../../../daemon/protocol/link-server.ts';
import { openJsChannel } from '../../../daemon/protocol/open-channel.ts';
import { clientTls } from '../../../daemon/protocol/tls.ts';
import { Arrivals } from '../../fixtures/arrivals.ts';
import { CERTIFICATE, CERTIFICATE_KEY } from '../../fixtures/certificate.ts';
import { recordedLog } from '../../fixtures/log-recorder.ts';

const KEY = ClusterKey.generate();
const HOST = '127.0.0.1';

async function serve(t: TestContext, options: Partial<LinkServerOptions> = {}) {
  const controls = new Arrivals<ControlLink>();
  const { log, lines } = recordedLog();
  const server = new LinkServer({
    key: KEY,
    log,
    onControl: controls.push,
    secretOf: () => null,
    onData: () => assert.fail('a data link without a session'),
    openChannel: openJsChannel,
    ...options,
  });
  const port = await server.start(0, HOST);
  t.after(() => server.stop());
  const to = { host: HOST, port, key: KEY, timeoutMs: 5000 };
  return { server, port, to, controls, lines };
}

async function controlPair(t: TestContext, heartbeat: ControlLinkOptions = {}) {
  const { to, controls, ...rest } = await serve(t, { heartbeat });
  const near = await dialControl({ ...to, heartbeat });
  return { near, far: await controls.next(), to, ...rest };
}

const loopbackAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((infos) => (infos ?? []).map(({ address }) => address));

const closed = (link: ControlLink): Promise<CloseReason> => new Promise((resolve) => link.onClose(resolve));

const HELLO: Control<'hello'> = {
  t: 'hello',
  protocol: PROTOCOL_VERSION,
  id: '0123456789abcdef',
  name: 'desk',
  purpose: 'serve',
};

test('C16: a device that is not told where listens over IPv4 and IPv6', async (t) => {
  const { log } = recordedLog();
  const controls = new Arrivals<ControlLink>();
  const server = new LinkServer({
    key: KEY,
    log,
    onControl: controls.push,
    secretOf: () => null,
    onData: () => {},
    openChannel: openJsChannel,
  });
  const port = await server.start(0);
  t.after(() => server.stop());
  for (const host of ['127.0.0.1', '::1']) {
    if (!loopbackAddresses().includes(host)) continue;
    const near = await dialControl({ host, port, key: KEY, timeoutMs: 5000 });
    const far = await controls.next();
    assert.equal(far.remoteAddress, host);
    assert.equal(near.remote, hostPort(host, port));
    assert.ok(near.isLocal && far.isLocal);
    near.close();
  }
});

test('control messages go both ways, and both sides know each other', async (t) => {
  const { near, far, port } = await controlPair(t);
  assert.equal(near.remote, `127.0.0.1:${port}`);
  assert.equal(far.remoteAddress, '127.0.0.1');
  near.send(HELLO);
  assert.deepEqual(await far.next(['hello'], 1000), HELLO);
  const seen = new Arrivals<ControlMessage>();
  near.onMessage(seen.push);
  const answer = near.next(['ready', 'missing'], 1000);
  far.send({ t: 'progress', done: 1, total: 2 });
  far.send({ t: 'missing', indices: [3] });
  assert.deepEqual(await answer, { t: 'missing', indices: [3] });
  assert.deepEqual(await seen.next(), { t: 'progress', done: 1, total: 2 });
});

test('messages that came before anyone asked are kept in order', async (t) => {
  const { near, far } = await controlPair(t);
  far.send(HELLO);
  far.send({ t: 'start' });
  far.send({ t: 'unload' });
  await near.next(['start'], 1000);
  const seen: string[] = [];
  await new Promise<void>((resolve) => {
    near.onMessage(({ t: type }) => {
      seen.push(type);
      if (type === 'unload') resolve();
    });
  });
  assert.deepEqual(seen, ['hello', 'unload']);
});

test('waiting ends by the other side’s error, by time, by the signal and by closing', async (t) => {
  const { near, far } = await controlPair(t);
  const refused = near.next(['ready'], 1000);
  far.send({ t: 'error', code: 'out_of_memory', message: 'needs 9 GB', fatal: false });
  await assert.rejects(refused, { code: 'out_of_memory', message: /needs 9 GB/ });
  await assert.rejects(near.next(['ready'], 20), { code: 'device_unreachable', message: /ready within 20 ms/ });
  const controller = new AbortController();
  const cancelled = near.next(['ready'], 1000, controller.signal);
  controller.abort();
  await assert.rejects(cancelled, { code: 'cancelled' });
  await assert.rejects(near.next(['ready'], 1000, controller.signal), { code: 'cancelled' });
  const [ours, theirs] = [near.next(['ready'], 1000), far.next(['ready'], 1000)];
  near.close();
  await assert.rejects(ours, { code: 'cancelled' });
  await assert.rejects(theirs, { code: 'device_lost' });
  await assert.rejects(near.next(['ready'], 1000), { code: 'cancelled' });
  await assert.rejects(far.next(['ready'], 1000), { code: 'device_lost' });
});

test('closing tells each side once, and what was sent before arrives', async (t) => {
  const { near, far } = await controlPair(t);
  const [nearClosed, farClosed] = [closed(near), closed(far)];
  near.send({ t: 'unload' });
  near.close();
  near.close();
  near.send({ t: 'start' });
  assert.equal(await nearClosed, null);
  assert.deepEqual(await far.next(['unload'], 1000), { t: 'unload' });
  assert.equal((await farClosed)?.code, 'device_lost');
  assert.equal(await closed(near), null);
  assert.equal(near.closed, true);
});

test('a link survives a process that is too busy to hear for a while', async (t) => {
  const heartbeat = { pingMs: 40, lostAfterMs: 160 };
  const { near, far } = await controlPair(t, heartbeat);
  let lost = false;
  near.onClose(() => {
    lost = true;
  });
  const busyUntil = Date.now() + 600;
  while (Date.now() < busyUntil);
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(lost, false);
  assert.equal(far.closed, false);
});

test('a device that stops answering is lost within its time', async (t) => {
  const { to } = await serve(t, { heartbeat: { pingMs: 60_000 } });
  const raw = connectPlain(to.port, HOST);
  t.after(() => raw.destroy());
  // a relay that goes silent, as a device without power does
  const sockets: Socket[] = [];
  const relay = createServer((socket) => {
    sockets.push(socket.on('error', () => {}));
    socket.pipe(raw);
    raw.pipe(socket);
  });
  raw.on('error', () => {});
  relay.listen(0, HOST);
  await once(relay, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  const port = (relay.address() as AddressInfo).port;
  const link = await dialControl({ ...to, port, heartbeat: { pingMs: 50, lostAfterMs: 200 } });
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(link.closed, false);
  const started = performance.now();
  raw.unpipe();
  sockets[0]?.unpipe();
  const reason = await closed(link);
  assert.equal(reason?.code, 'device_lost');
  assert.match(reason?.message ?? '', /nothing came from \S+ for \d+ ms/);
  const took = performance.now() - started;
  assert.ok(took > 120 && took < 2000, `${took} ms`);
});

test('another key is a mismatch that names where; the server goes on', async (t) => {
  const { to, port, controls } = await serve(t);
  const key = ClusterKey.generate();
  await assert.rejects(dialControl({ ...to, key }), { code: 'key_mismatch', message: new RegExp(`127.0.0.1:${port}`) });
  const link = await dialControl(to);
  link.send(HELLO);
  await (await controls.next()).next(['hello'], 1000);
});

test('nothing there, something else there, silence and cancelling', async (t) => {
  const { server, to, port } = await serve(t);
  await server.stop();
  await assert.rejects(dialControl(to), { code: 'device_unreachable', message: new RegExp(`:${port} .*ECONNREFUSED`) });

  const mute = createServer((socket) => void socket.on('error', () => {}));
  const rude = createServer((socket) => void socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const secure = (await import('node:tls')).createServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, (socket) =>
    socket.on('error', () => {}),
  );
  secure.on('tlsClientError', () => {});
  const ports: number[] = [];
  for (const each of [mute, rude, secure]) {
    each.listen(0, HOST);
    await once(each, 'listening');
    ports.push((each.address() as AddressInfo).port);
    t.after(() => each.close());
  }
  const [mutePort = 0, rudePort = 0, securePort = 0] = ports;
  await assert.rejects(dialControl({ ...to, port: mutePort, timeoutMs: 60 }), {
    code: 'device_unreachable',
    message: /within 60 ms/,
  });
  const controller = new AbortController();
  const dialling = dialControl({ ...to, port: mutePort, signal: controller.signal });
  controller.abort();
  await assert.rejects(dialling, { code: 'cancelled' });
  await assert.rejects(dialControl({ ...to, port: mutePort, signal: controller.signal }), { code: 'cancelled' });
  const elsewhere = { code: 'device_unreachable', message: /something else than Starling/ };
  await assert.rejects(dialControl({ ...to, port: rudePort }), elsewhere);
  await assert.rejects(dialControl({ ...to, port: securePort }), elsewhere);
});

test('C15: a dial ends in time though garbage is collected meanwhile', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { signal } = new AbortController();
  const ended = new Promise<void>((resolve) => {
    dialDeadline({ timeoutMs: 100, signal }).addEventListener('abort', () => resolve(), { once: true });
  });
  const collecting = setInterval(collect, 10);
  const first = await Promise.race([ended, sleep(3000, 'too late', { ref: false })]);
  clearInterval(collecting);
  assert.equal(first, undefined);
});

test('unknown paths are not found, nor is a data link inside TLS', async (t) => {
  const { port } = await serve(t);
  for (const path of ['/', '/controls', '/data/s', '/data/']) {
    const webSocket = new WebSocket(`wss://${HOST}:${port}${path}`, clientTls(KEY));
    const [error] = (await once(webSocket, 'error')) as [Error];
    assert.match(error.message, /404/, path);
  }
});

test('a plain request with the key is answered 404', async (t) => {
  const { port } = await serve(t);
  const socket = connect({ host: HOST, port, ...clientTls(KEY) });
  socket.write('GET /control HTTP/1.1\r\nHost: x\r\n\r\n');
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  await once(socket, 'close');
  assert.match(answer, /^HTTP\/1.1 404 /);
});

/** A WebSocket with the key that does not keep to our protocol. */
async function stranger(t: TestContext, port: number): Promise<WebSocket> {
  const webSocket = new WebSocket(`wss://${HOST}:${port}/control`, clientTls(KEY));
  webSocket.on('error', () => {});
  t.after(() => webSocket.terminate());
  await once(webSocket, 'open');
  return webSocket;
}

test('what breaks the protocol closes that link with its code, and no other', async (t) => {
  const { port, to, controls } = await serve(t);
  const healthy = await dialControl(to);
  await controls.next();
  const cases: [string | Buffer, string, number][] = [
    ['text', 'protocol_invalid_message', 1002],
    [Buffer.from('c1', 'hex'), 'protocol_invalid_message', 1002],
    [Buffer.alloc(MAX_CONTROL + 1), 'protocol_frame_too_long', 1009],
  ];
  for (const [message, code, closeCode] of cases) {
    const webSocket = await stranger(t, port);
    const reason = closed(await controls.next());
    const theirs = once(webSocket, 'close');
    webSocket.send(message);
    assert.equal((await reason)?.code, code);
    assert.equal((await theirs)[0], closeCode);
  }
  assert.equal(healthy.closed, false);
});

test('a flood of unasked messages closes the link', async (t) => {
  const { near, far } = await controlPair(t);
  for (let i = 0; i < 70; i++) near.send({ t: 'start' });
  assert.equal((await closed(far))?.code, 'protocol_invalid_message');
});

test('a link that is cut is lost at both ends', async (t) => {
  const { near, far, server } = await controlPair(t);
  const both = [closed(near), closed(far)];
  await server.stop();
  for (const reason of await Promise.all(both)) assert.equal(reason?.code, 'device_lost');
});

test('connections and handshakes are limited', async (t) => {
  const { to, port } = await serve(t, { maxConnections: 2, handshakeTimeoutMs: 200 });
  // one sends nothing at all, one finishes the handshake and asks for nothing
  const silent = connectPlain(port, HOST).on('error', () => {});
  const idle = connect({ host: HOST, port, ...clientTls(KEY) }).on('error', () => {});
  await once(idle, 'secureConnect');
  await assert.rejects(dialControl(to), { code: 'device_unreachable' });
  idle.resume();
  await Promise.all([once(silent, 'close'), once(idle, 'close')]);
  const link = await dialControl(to);
  assert.equal(link.closed, false);
});

test('a taken port and a foreign address are told; stopping twice is fine', async (t) => {
  const { port, server } = await serve(t);
  const { log } = recordedLog();
  const options = {
    ...{ key: KEY, log, openChannel: openJsChannel },
    ...{ onControl: () => {}, onData: () => {}, secretOf: () => null },
  };
  const second = new LinkServer(options);
  await assert.rejects(second.start(port, HOST), { code: 'address_in_use', message: new RegExp(`${port}`) });
  await assert.rejects(second.start(0, '203.0.113.9'), { code: 'invalid_argument' });
  await second.stop();
  await server.stop();
  await server.stop();
});

test('neither key nor text of it reaches the log', async (t) => {
  const { to, lines } = await serve(t);
  await assert.rejects(dialControl({ ...to, key: ClusterKey.generate() }), { code: 'key_mismatch' });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const text = lines.join('\n');
  assert.match(text, /refused a connection without the key/);
  assert.ok(!text.includes(KEY.toText().slice(13)) && !text.includes(KEY.psk().toString('hex')));
});
