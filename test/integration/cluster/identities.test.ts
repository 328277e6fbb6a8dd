import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { homePaths } from '../../../daemon/paths.ts';
import { serverTls } from '../../../daemon/protocol/tls.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

test('C8: two devices of one identity are told about, with what to do', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const first = await sandbox.homeWithKey('first', key);
  const original = await sandbox.daemon('original', first);
  const copied = join(sandbox.folder, 'copied');
  cpSync(homePaths({ STARLING_HOME: first }).identityFile, homePaths({ STARLING_HOME: copied }).identityFile);
  cpSync(homePaths({ STARLING_HOME: first }).keyFile, homePaths({ STARLING_HOME: copied }).keyFile);
  const copy = await sandbox.daemon('copy', copied);
  const home = await sandbox.homeWithKey('other', key);
  const other = await sandbox.serve(home, 'tiny-chat', [original, copy], []);
  assert.equal(other.devices, 2);
  const said = /original at \S+ and copy at \S+ have one identity, and only the first is used: .*delete identity\.json/;
  assert.match(other.process.stderr, said);
  await other.process.stop('SIGINT');
  const own = await sandbox.serve(first, 'tiny-chat', [original, copy], []);
  assert.match(own.process.stderr, /copy at \S+ has the identity of this device, and is not used: .*identity\.json/);
  assert.match(own.process.stderr, /original is this device, and not used over the network/);
  await own.process.stop('SIGINT');
  const seen = ['devices', '--no-discovery', '--json', '--peer', original.address, '--peer', copy.address];
  const listed = await sandbox.run(seen, { home });
  assert.deepEqual(
    (JSON.parse(listed.stdout) as { name: string }[]).map(({ name }) => name),
    ['original', 'copy'],
  );
  assert.match(listed.stderr, /have one identity: .*delete identity\.json/);
});

test('C13: what went wrong is told with its cause and what to do', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const home = await sandbox.homeWithKey('home', key);
  await sandbox.daemon('own', home);
  const imported = await sandbox.run(['key', 'import', '--force', ClusterKey.generate().toText()], { home });
  assert.match(imported.stderr, /a daemon that runs on this device has the old key still: stop it and start it again/);
  const devices = await sandbox.run(['devices', '--no-discovery', '--json'], { home });
  const [row] = JSON.parse(devices.stdout) as { state: string; why: string }[];
  assert.match(row!.why, /another cluster key than this device, as one was imported .* start it again/);

  const newer = createTlsServer(serverTls(key));
  const sockets = new WebSocketServer({ server: newer });
  sockets.on('connection', (socket, { url }) => {
    if (url === '/control') socket.close(1002, 'protocol_version');
  });
  await new Promise<void>((resolve) => newer.listen(0, '127.0.0.1', resolve));
  t.after(() => newer.close());
  const peer = `127.0.0.1:${(newer.address() as AddressInfo).port}`;
  const client = await sandbox.homeWithKey('client', key);
  const serve = ['serve', 'tiny-chat', '--devices', 'all', '--no-discovery', '--port', '0', '--peer', peer];
  const version = await sandbox.run(serve, { home: client });
  assert.match(version.stderr, /speaks another version of the protocol; run the same version.*\[protocol_version\]/);
  sockets.removeAllListeners('connection').on('connection', (socket) => socket.close());
  const rude = await sandbox.run(serve, { home: client });
  assert.match(
    rude.stderr,
    /did not say who it is .*if another version of Starling runs there.*\[device_unreachable\]/,
  );
});
