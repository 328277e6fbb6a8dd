import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ClusterKey, importKey } from '../../../daemon/cluster-key.ts';
import { homePaths } from '../../../daemon/paths.ts';
import { StarlingProcess } from '../../../scripts/starling-process.ts';
import { type NamespaceHost, NamespaceLan, namespacesUnavailable } from '../../fixtures/network-namespaces.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const MAIN = fileURLToPath(new URL('../../../coordinator/cli/main.js', import.meta.url));
const START_MS = 30_000;
const SERVE_MS = 60_000;
/** Asks a chat endpoint; runs where the endpoint is, as it listens on the loopback address of that host only. */
const ASK = `
  const response = await fetch(process.argv[1] + '/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'starling', messages: [{ role: 'user', content: 'Tell me a story about a dog.' }], temperature: 0, max_tokens: 24 }),
  });
  const health = await fetch(process.argv[1] + '/health');
  console.log(JSON.stringify({ status: response.status, answer: await response.json(), health: await health.json() }));
`;

/** A device of the test: a host with a home of its own, which holds a cluster's key. */
class Device {
  readonly #started: StarlingProcess[];
  readonly #host: NamespaceHost;
  readonly #home: string;

  private constructor(started: StarlingProcess[], host: NamespaceHost, home: string) {
    this.#started = started;
    this.#host = host;
    this.#home = home;
  }

  /** @param started to which the processes that it starts are added */
  static async create(started: StarlingProcess[], host: NamespaceHost, home: string, key: ClusterKey): Promise<Device> {
    mkdirSync(home);
    await importKey(homePaths({ STARLING_HOME: home }).keyFile, key);
    return new Device(started, host, home);
  }

  start(...args: string[]): StarlingProcess {
    const started = new StarlingProcess(args, { home: this.#home, prefix: this.#host.prefix });
    this.#started.push(started);
    return started;
  }

  async daemon(name: string): Promise<StarlingProcess> {
    const daemon = this.start('daemon', '--name', name, '--threads', '1');
    await daemon.waitFor(/ listens on /, START_MS);
    return daemon;
  }

  /** The rows of `starling devices --json`, by name. */
  async devices(): Promise<Record<string, Record<string, unknown>>> {
    const rows = JSON.parse(
      await this.#host.run(process.execPath, [MAIN, 'devices', '--json', '--wait', '3'], { STARLING_HOME: this.#home }),
    ) as { name: string }[];
    assert.equal(new Set(rows.map(({ name }) => name)).size, rows.length, 'each device once');
    return Object.fromEntries(rows.map((row) => [row.name, row as Record<string, unknown>]));
  }

  async ask(url: string) {
    const answered = await this.#host.run(process.execPath, ['--input-type=module', '-e', ASK, url]);
    return JSON.parse(answered) as {
      status: number;
      answer: { choices: { message: { content: string } }[] };
      health: { devices?: { name: string; state: string }[] };
    };
  }
}

const states = (rows: Record<string, Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(rows).map(([name, { state }]) => [name, state]));

test('devices on a LAN find each other over mDNS alone, and serve together', async (t) => {
  const unavailable = namespacesUnavailable();
  if (unavailable !== null) return t.skip(unavailable);
  const started: StarlingProcess[] = [];
  t.after(() => Promise.all(started.map((each) => each.stop())));
  const folder = temporaryFolder(t);
  const lan = new NamespaceLan(t);
  const key = ClusterKey.generate();
  const device = (number: number, name: string, of = key): Promise<Device> =>
    Device.create(started, lan.host(number), join(folder, name), of);
  const kitchen = await device(1, 'kitchen');
  const study = await device(2, 'study');
  const laptop = await device(3, 'laptop');
  await kitchen.daemon('kitchen');
  await study.daemon('study');

  const serve = laptop.start('serve', 'tiny-chat', '--wait', '4', '--threads', '1', '--port', '0');
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
    const again = laptop.start('serve', 'tiny-chat', '--wait', '4', '--threads', '1', '--port', '0');
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

  await t.test("this device's own daemon computes its share, once", async () => {
    await laptop.daemon('laptop');
    const again = laptop.start('serve', 'tiny-chat', '--wait', '4', '--threads', '1', '--port', '0');
    const [, where = '', count] = await again.waitFor(/is served at (\S+)\/v1 by (\d+) devices/, SERVE_MS);
    assert.equal(count, '3', again.output);
    const names = (await laptop.ask(where)).health.devices?.map(({ name }) => name).sort();
    assert.deepEqual(names, ['kitchen', 'laptop', 'study']);
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
  const cabled = await Device.create(started, lan.host(1, 'none'), join(folder, 'cabled'), key);
  const tunnelled = await Device.create(started, lan.host(2, 'vpn'), join(folder, 'tunnelled'), key);
  await Promise.all([cabled.daemon('cabled'), tunnelled.daemon('tunnelled')]);
  const seen = { cabled: 'free', tunnelled: 'free' };
  const [here, there] = await Promise.all([cabled.devices(), tunnelled.devices()]);
  assert.deepEqual(states(here), seen);
  assert.deepEqual(states(there), seen);
  assert.equal(here.tunnelled!.address, '10.77.0.2:7828');
});
