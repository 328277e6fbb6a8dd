import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { homePaths } from '../../../daemon/paths.ts';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

/** A port of this machine, and what listens at it: takes connections, and never answers. */
async function silentPort(t: TestContext): Promise<{ port: number; server: Server; connected: Promise<unknown> }> {
  const server = createServer((socket) => void socket.on('error', () => {}));
  const connected = new Promise((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { port: (server.address() as { port: number }).port, server, connected };
}

test('C1: a start that fails ends, whatever was acquired before', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const good = await sandbox.daemon('good', await sandbox.homeWithKey('good', key));
  const foreign = await sandbox.daemon('foreign', await sandbox.homeWithKey('foreign', ClusterKey.generate()));
  const home = await sandbox.homeWithKey('own', key);
  const silent = await silentPort(t);
  const serve = [
    'serve',
    'tiny-chat',
    '--devices',
    'all',
    '--no-discovery',
    '--port',
    '0',
    '--threads',
    '1',
    '--peer',
    good.address,
  ];

  const closed = await silentPort(t);
  await new Promise((resolve) => closed.server.close(resolve));
  const nobody = await sandbox.run([...serve, '--peer', `127.0.0.1:${closed.port}`], { home });
  assert.match(nobody.stderr, new RegExp(`127\\.0\\.0\\.1:${closed.port}.*\\[device_unreachable\\]`));
  assert.equal(nobody.code, 1);
  const wrong = await sandbox.run([...serve, '--peer', foreign.address], { home });
  assert.match(wrong.stderr, /\[key_mismatch\]/);
  assert.equal(wrong.code, 3);

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const hung = sandbox.start([...serve, '--peer', `127.0.0.1:${silent.port}`], { home });
    await new Promise((resolve) => silent.server.once('connection', resolve));
    const started = performance.now();
    assert.deepEqual(await hung.stop(signal), { code: 130, signal: null });
    assert.ok(performance.now() - started < 3000, `took ${performance.now() - started} ms to end`);
  }
  const again = await sandbox.serve(home, 'tiny-chat', [good], []);
  assert.equal(again.devices, 2);
});

test('C1: a daemon whose home cannot be cleaned ends all the same, and a local device that ends is noticed', async (t) => {
  const sandbox = new Sandbox(t);
  const home = await sandbox.homeWithKey('home', ClusterKey.generate());
  const daemon = await sandbox.daemon('daemon', home);
  const { runFile } = homePaths({ STARLING_HOME: home });
  rmSync(runFile);
  mkdirSync(runFile);
  assert.equal((await daemon.process.stop()).code, 0);
  assert.match(daemon.process.stderr, /run\.json/);

  // The second ends at once, while the first is still on its way.
  const preload = join(sandbox.folder, 'preload.mjs');
  writeFileSync(
    preload,
    `if (process.argv.includes('local-2')) process.exit(7);
     if (process.argv.includes('local-1')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);`,
  );
  process.env.NODE_OPTIONS = `--import=${preload}`;
  t.after(() => delete process.env.NODE_OPTIONS);
  const started = performance.now();
  const demo = await sandbox.run(['demo', '--port', '0', '--devices', '2'], { home: sandbox.home('demo') });
  assert.match(demo.stderr, /a local device did not start \(ended with code 7\)/);
  assert.equal(demo.code, 1);
  assert.ok(performance.now() - started < 20_000, 'took as long as a device that does not answer');
});

test('C12: a port that is taken is told before anything that takes long; until the model is up, clients are told to wait', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const { port } = await silentPort(t);
  const taken = await sandbox.run(['serve', 'tiny-chat', '--no-discovery', '--port', String(port)], { home });
  assert.match(taken.stderr, /port \d+ on 127\.0\.0\.1 is used by another program.*\[address_in_use\]/);
  assert.doesNotMatch(taken.stderr, /lost|"level":[456]0/);
  assert.equal(taken.code, 1);
  assert.ok(!existsSync(join(home, 'tiles')), 'nothing was cut');

  const draft = await sandbox.run(['serve', 'tiny-chat', '--no-discovery', '--port', '0', '--draft', 'none.gguf'], {
    home,
  });
  assert.match(draft.stderr, /none\.gguf does not exist/);
  assert.ok(!existsSync(join(home, 'tiles')), 'nothing was cut');

  // Listening for devices takes a while in which the endpoint is there already.
  const own = String((await freePort()) ?? 0);
  const serve = sandbox.start(['serve', 'tiny-chat', '--wait', '3', '--port', own, '--threads', '1'], { home });
  const url = `http://127.0.0.1:${own}`;
  let early: Awaited<ReturnType<typeof rawRequest>> | undefined;
  while (early === undefined) early = await rawRequest(`${url}/v1/models`).catch(() => undefined);
  assert.equal(early.status, 503, early.text);
  assert.equal(early.headers['retry-after'], '5');
  assert.equal((JSON.parse(early.text) as { error: { code: string } }).error.code, 'starting');
  assert.deepEqual(JSON.parse((await rawRequest(`${url}/health`)).text), { status: 'starting' });
  await serve.printed(/is served at/);
  assert.equal((await rawRequest(`${url}/v1/models`)).status, 200);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
