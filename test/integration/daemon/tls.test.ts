import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as connectPlain, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect, createServer, type Server } from 'node:tls';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { clientTls, pskIdentity, serverTls } from '../../../daemon/protocol/tls.ts';
import { CERTIFICATE, CERTIFICATE_KEY } from '../../fixtures/certificate.ts';

const KEY = ClusterKey.generate();

async function serve(
  t: TestContext,
  options = serverTls(KEY),
): Promise<{ server: Server; port: number; refusals: string[] }> {
  const server = createServer(options, (socket) => socket.on('error', () => {}).end('welcome'));
  const refusals: string[] = [];
  const sockets = new Set<Socket>();
  server.on('tlsClientError', (error: Error & { code?: string }) => refusals.push(error.code ?? error.message));
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { server, port: (server.address() as AddressInfo).port, refusals };
}

/** What the server says, or the code of the error. */
function talk(port: number, options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ...options });
    let heard = '';
    socket.on('data', (data) => {
      heard += data;
    });
    socket.on('error', (error: Error & { code?: string }) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve(heard));
  });
}

test('the same key on both sides: TLS 1.3, forward secret', async (t) => {
  const { port } = await serve(t);
  const socket = connect({ host: '127.0.0.1', port, ...clientTls(KEY) });
  await once(socket, 'secureConnect');
  assert.equal(socket.getProtocol(), 'TLSv1.3');
  const exchange = socket.getEphemeralKeyInfo();
  assert.ok(exchange !== null && 'name' in exchange && exchange.name === 'X25519');
  assert.equal(socket.authorized, true);
  socket.destroy();
});

test('the other cipher works too', async (t) => {
  const { port } = await serve(t);
  assert.equal(await talk(port, { ...clientTls(KEY), ciphers: 'TLS_CHACHA20_POLY1305_SHA256' }), 'welcome');
});

test('wrong key, claimed identity, no key, old TLS and plain TCP are refused, and the server goes on', async (t) => {
  const { port, refusals } = await serve(t);
  const other = ClusterKey.generate();
  assert.match(await talk(port, clientTls(other)), /^ERR_SSL_.*ALERT/);
  const impostor = { ...clientTls(other), pskCallback: () => ({ psk: other.psk(), identity: pskIdentity(KEY) }) };
  assert.match(await talk(port, impostor), /^ERR_SSL_.*ALERT/);
  assert.match(await talk(port, { rejectUnauthorized: false }), /^ERR_SSL_.*ALERT/);
  assert.match(await talk(port, { rejectUnauthorized: false, maxVersion: 'TLSv1.2' }), /^ERR_SSL_.*ALERT/);
  assert.match(
    await talk(port, {
      ...clientTls(KEY),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      ciphers: 'PSK-AES128-GCM-SHA256',
    }),
    /^ERR_SSL_.*ALERT/,
  );
  const plain = connectPlain(port, '127.0.0.1', () => plain.write('GET / HTTP/1.1\r\n\r\n'));
  plain.on('error', () => {});
  let answer = '';
  plain.on('data', (data) => {
    answer += data.toString('latin1');
  });
  await once(plain, 'close');
  assert.ok(!answer.includes('welcome'));
  assert.equal(refusals.length, 6);
  assert.equal(await talk(port, clientTls(KEY)), 'welcome');
});

test('a server that has a certificate in place of the key is refused by the client', async (t) => {
  const { port } = await serve(t, { cert: CERTIFICATE, key: CERTIFICATE_KEY });
  assert.equal(await talk(port, { rejectUnauthorized: false }), 'welcome');
  assert.match(await talk(port, clientTls(KEY)), /SELF_SIGNED|UNABLE_TO/);
  // even one whose authority this machine trusts
  assert.equal(await talk(port, { ...clientTls(KEY), ca: [CERTIFICATE] }), 'a certificate in place of the cluster key');
});
