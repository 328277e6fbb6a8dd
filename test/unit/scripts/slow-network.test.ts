import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { roundTripMs, SlowNetwork } from '../../../scripts/slow-network.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { withoutC } from './needs-c.ts';

/** Until the test ends. */
function setEnvironment(context: TestContext, name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  context.after(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}

async function serve(onSocket: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer(onSocket).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

describe('slow network', { skip: withoutC }, () => {
  it('holds every byte for as long as asked, and hardly longer', async () => {
    const direct = await roundTripMs({ delayMs: 0, mbit: null });
    const slow = await roundTripMs({ delayMs: 1.5, mbit: null });
    assert.ok(slow >= 3, `${slow} ms`);
    // A busy machine is the larger part of it.
    assert.ok(slow < 3 + direct + 3, `${slow} ms, without delay ${direct} ms`);
  });

  it('brings no more bits a second than asked, over all devices together', async () => {
    const { server, port } = await serve((socket) => socket.resume().on('end', () => socket.end('done')));
    const endpoint = { host: '127.0.0.1', port };
    const network = await SlowNetwork.start([endpoint, endpoint], { delayMs: 0, mbit: 80 });
    const begun = performance.now();
    await Promise.all(
      network.endpoints.map(async ({ host, port }) => {
        const socket = connect({ host, port, allowHalfOpen: true });
        socket.end(Buffer.alloc(500_000));
        // All that was sent arrives before the end does, and so does the answer.
        await once(socket, 'close');
      }),
    );
    const ms = performance.now() - begun;
    await network.stop();
    server.close();
    assert.ok(ms >= 100, `${ms} ms`);
    assert.ok(ms < 1000, `${ms} ms`);
  });

  it('has each device as far away, and as slow, as asked', async () => {
    const { server, port } = await serve((socket) => socket.resume().on('end', () => socket.end('done')));
    const endpoint = { host: '127.0.0.1', port };
    const devices = [
      { endpoint, delayMs: 40, mbit: null },
      { endpoint, delayMs: 0, mbit: 40 },
      { endpoint, delayMs: 0, mbit: null },
    ];
    const network = await SlowNetwork.startEach(devices, null);
    const times = await Promise.all(
      network.endpoints.map(async ({ host, port }) => {
        const begun = performance.now();
        const socket = connect({ host, port, allowHalfOpen: true });
        socket.end(Buffer.alloc(500_000));
        // The relay hangs up when the end of what was sent has passed.
        await once(socket, 'close');
        return performance.now() - begun;
      }),
    );
    await network.stop();
    server.close();
    const [far = 0, narrow = 0, near = 0] = times;
    assert.ok(far >= 40 && narrow >= 100, times.join());
    // Neither is held up by what waits for the others.
    assert.ok(near < 40, times.join());
  });

  it('changes nothing that passes, however much it is, and says how late it was', async (context) => {
    const folder = temporaryFolder(context);
    setEnvironment(context, 'TMPDIR', folder);
    const sent = randomBytes(9_000_000);
    const hash = createHash('sha256');
    const { server, port } = await serve((socket) => socket.end(sent));
    const network = await SlowNetwork.start([{ host: '127.0.0.1', port }], { delayMs: 1, mbit: null });
    const [{ host, port: near }] = network.endpoints as [{ host: string; port: number }];
    const socket = connect({ host, port: near });
    socket.on('data', (bytes) => hash.update(bytes));
    await once(socket, 'close');
    const late = await network.stop();
    server.close();
    assert.equal(hash.digest('hex'), createHash('sha256').update(sent).digest('hex'));
    assert.ok(late !== null && late.pieces > 0 && late.p50Ms >= 0 && late.p50Ms <= late.p99Ms, JSON.stringify(late));
    assert.deepEqual(readdirSync(folder), []);
  });

  it('says what is missing where there is no compiler', async (context) => {
    setEnvironment(context, 'CC', '/no-such-compiler');
    await assert.rejects(SlowNetwork.start([], { delayMs: 0, mbit: null }), /needs a C compiler/);
  });
});
