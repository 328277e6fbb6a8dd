import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import type { StarlingProcess } from '../../../scripts/starling-process.ts';
import { LanDevice, states } from '../../fixtures/lan-device.ts';
import { NamespaceLan, namespacesUnavailable } from '../../fixtures/network-namespaces.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const SERVE_MS = 60_000;

test('devices on a LAN find each other over mDNS alone, and serve together', async (t) => {
  const unavailable = namespacesUnavailable();
  if (unavailable !== null) return t.skip(unavailable);
  const started: StarlingProcess[] = [];
  t.after(() => Promise.all(started.map((each) => each.stop())));
  const folder = temporaryFolder(t);
  const lan = new NamespaceLan(t);
  const key = ClusterKey.generate();
  const device = (number: number, name: string, of = key): Promise<LanDevice> =>
    LanDevice.create(started, lan.host(number), join(folder, name), of);
  const kitchen = await device(1, 'kitchen');
  const study = await device(2, 'study');
  const laptop = await device(3, 'laptop');
  await kitchen.daemon('kitchen');
  await study.daemon('study');

  const serve = laptop.start('serve', 'tiny-chat', '--devices', 'all', '--wait', '4', '--threads', '1', '--port', '0');
  const [, url = '', devices] = await serve.waitFor(/is served at (\S+)\/v1 by (\d+) devices/, SERVE_MS);
  assert.equal(devices, '3', serve.output);
  const { status, answer, health } = await laptop.ask(url);
  assert.equal(status, 200, JSON.stringify(answer));
  assert.ok(answer.choices[0]!.message.content.length > 0);
  assert.deepEqual(health.devices?.map(({ name, state }) => [name, state]).sort(), [
    ['kitchen', 'ready'],
    ['study', 'ready'],
    ['this device', 'ready'],
  ]);
  assert.deepEqual(states(await kitchen.devices()), { kitchen: 'serving', study: 'serving' });
  await serve.stop();

  await t.test('a device with another key is named, and not used', async () => {
    const neighbour = await device(4, 'neighbour', ClusterKey.generate());
    await neighbour.daemon('neighbour');
    const again = laptop.start(
      'serve',
      'tiny-chat',
      '--devices',
      'all',
      '--wait',
      '4',
      '--threads',
      '1',
      '--port',
      '0',
    );
    const [, , count] = await again.waitFor(/is served at (\S+)\/v1 by (\d+) devices/, SERVE_MS);
    assert.equal(count, '3', again.output);
    assert.match(again.output, /"msg":"neighbour belongs to another cluster/);
    await again.stop();
    const seen = { kitchen: 'free', study: 'free', neighbour: 'other cluster' };
    assert.deepEqual(states(await laptop.devices()), seen);
    assert.deepEqual(states(await study.devices()), seen);
    const theirs = { kitchen: 'other cluster', study: 'other cluster', neighbour: 'free' };
    assert.deepEqual(states(await neighbour.devices()), theirs);
  });

  await t.test('a device whose own daemon runs is one device', async () => {
    await laptop.daemon('laptop');
    const again = laptop.start(
      'serve',
      'tiny-chat',
      '--devices',
      'all',
      '--wait',
      '4',
      '--threads',
      '1',
      '--port',
      '0',
    );
    const [, where = '', count] = await again.waitFor(/is served at (\S+)\/v1 by (\d+) devices/, SERVE_MS);
    assert.equal(count, '3', again.output);
    const names = (await laptop.ask(where)).health.devices?.map(({ name }) => name).sort();
    assert.deepEqual(names, ['kitchen', 'study', 'this device']);
    const seen = { kitchen: 'serving', laptop: 'serving', study: 'serving', neighbour: 'other cluster' };
    assert.deepEqual(states(await laptop.devices()), seen);
  });
});

test('devices find each other without a router, and beside a VPN that takes the default route', async (t) => {
  const unavailable = namespacesUnavailable();
  if (unavailable !== null) return t.skip(unavailable);
  const started: StarlingProcess[] = [];
  t.after(() => Promise.all(started.map((each) => each.stop())));
  const folder = temporaryFolder(t);
  const lan = new NamespaceLan(t);
  const key = ClusterKey.generate();
  const cabled = await LanDevice.create(started, lan.host(1, 'none'), join(folder, 'cabled'), key);
  const tunnelled = await LanDevice.create(started, lan.host(2, 'vpn'), join(folder, 'tunnelled'), key);
  await Promise.all([cabled.daemon('cabled'), tunnelled.daemon('tunnelled')]);
  const seen = { cabled: 'free', tunnelled: 'free' };
  const [here, there] = await Promise.all([cabled.devices(), tunnelled.devices()]);
  assert.deepEqual(states(here), seen);
  assert.deepEqual(states(there), seen);
  assert.equal(here.tunnelled!.address, '10.77.0.2:7828');
});
