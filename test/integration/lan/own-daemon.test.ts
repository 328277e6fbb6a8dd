import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { PROTOCOL_VERSION } from '../../../daemon/protocol/control.ts';
import type { StarlingProcess } from '../../../scripts/starling-process.ts';
import { LanDevice, states } from '../../fixtures/lan-device.ts';
import { NamespaceLan, namespacesUnavailable } from '../../fixtures/network-namespaces.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const SERVE_MS = 60_000;
const FREE_MS = 20_000;

/** Asks a daemon, from wherever this runs, to lend its device; prints the code of its answer. */
const BORROW = `
  const [host, version] = process.argv.slice(1);
  const daemon = ${JSON.stringify(new URL('../../../daemon/', import.meta.url).href)};
  const { dialControl } = await import(daemon + 'protocol/link-client.js');
  const { loadOrCreateKey } = await import(daemon + 'cluster-key.js');
  const { homePaths } = await import(daemon + 'paths.js');
  const { key } = await loadOrCreateKey(homePaths(process.env).keyFile);
  const link = await dialControl({ host, port: 7828, key, timeoutMs: 5000 });
  link.send({ t: 'hello', protocol: Number(version), id: '0123456789abcdef', name: 'guest', purpose: 'serve' });
  await link.next(['welcome'], 5000);
  link.send({ t: 'borrow', modelName: 'guest' });
  const answer = await link.next(['lent', 'error'], 5000);
  link.close();
  console.log(JSON.stringify(answer.code ?? answer.t));
`;

test('a home whose every device runs the daemon: serve uses its own in its own process, and gives it back', async (t) => {
  const unavailable = namespacesUnavailable();
  if (unavailable !== null) return t.skip(unavailable);
  const started: StarlingProcess[] = [];
  t.after(() => Promise.all(started.map((each) => each.stop())));
  const folder = temporaryFolder(t);
  const lan = new NamespaceLan(t);
  const key = ClusterKey.generate();
  const hosts = [lan.host(1), lan.host(2)] as const;
  const kitchen = await LanDevice.create(started, hosts[0], join(folder, 'kitchen'), key);
  const study = await LanDevice.create(started, hosts[1], join(folder, 'study'), key);
  const own = await kitchen.daemon('kitchen');
  await study.daemon('study');
  /** Serves at one of them, and sees who computes. @returns the process and the text that it answers with */
  const serve = async (): Promise<{ serve: StarlingProcess; text: string }> => {
    const serve = kitchen.start(
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
    const [, url = '', devices] = await serve.waitFor(/is served at (\S+)\/v1 by (\d+) devices/, SERVE_MS);
    assert.equal(devices, '2', serve.output);
    const { status, answer, health } = await kitchen.ask(url);
    assert.equal(status, 200, JSON.stringify(answer));
    assert.deepEqual(health.devices?.map(({ name, state }) => [name, state]).sort(), [
      ['study', 'ready'],
      ['this device', 'ready'],
    ]);
    assert.deepEqual(states(await study.devices()), { kitchen: 'serving', study: 'serving' });
    return { serve, text: answer.choices[0]!.message.content };
  };
  const areFree = async (): Promise<void> => {
    let now: Record<string, unknown> = {};
    const until = performance.now() + FREE_MS;
    do now = states(await study.devices());
    while ((now.kitchen !== 'free' || now.study !== 'free') && performance.now() < until);
    assert.deepEqual(now, { kitchen: 'free', study: 'free' });
  };
  await areFree();

  const first = await serve();
  // One link, which carries the heartbeat; a device that computes over the network has data links besides.
  assert.equal(await kitchen.links(), 1);
  assert.ok((await study.links()) > 1);
  assert.doesNotMatch(own.output, /was given a share of a model/);
  const rows = await kitchen.devices();
  const lent = Object.entries(rows).map(([name, { status }]) => [name, (status as { lent: boolean }).lent]);
  assert.deepEqual(Object.fromEntries(lent), { kitchen: true, study: false });
  await first.serve.stop();
  await areFree();

  await t.test('a crash of serve gives it back too', async () => {
    const second = await serve();
    assert.equal(second.text, first.text);
    process.kill(second.serve.pid, 'SIGKILL');
    await areFree();
    assert.equal(await kitchen.links(), 0);
  });

  await t.test('another computer cannot borrow it', async () => {
    const ask = (from: LanDevice, host: string): Promise<unknown> =>
      from.evaluate(BORROW, host, String(PROTOCOL_VERSION));
    assert.equal(await ask(study, hosts[0].address), 'protocol_invalid_message');
    for (const host of [hosts[0].address, '127.0.0.1']) assert.equal(await ask(kitchen, host), 'lent');
  });
});
