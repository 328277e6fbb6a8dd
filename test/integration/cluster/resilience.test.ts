import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { homePaths } from '../../../daemon/paths.ts';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

const request = { prompt: 'Once upon a time', temperature: 0, max_tokens: 24 };

/** Texts that take far longer than a test has time for. */
const endless = {
  prompt: ['Once upon a time', 'One day', 'The dog', 'A cat'],
  max_tokens: 4000,
  temperature: 1,
  seed: 1,
  n: 8,
  stream: true,
};

const codeOf = (text: string): string => (JSON.parse(text) as { error: { code: string } }).error.code;

/** The greedy text after a prompt. */
async function complete(url: string): Promise<string> {
  const { status, text } = await rawRequest(`${url}/v1/completions`, { body: JSON.stringify(request) });
  assert.equal(status, 200, text);
  return (JSON.parse(text) as { choices: { text: string }[] }).choices[0]!.text;
}

async function devicesOf(url: string): Promise<Record<string, string>> {
  const { text } = await rawRequest(`${url}/health`);
  const { devices } = JSON.parse(text) as { devices: { name: string; state: string }[] };
  return Object.fromEntries(devices.map(({ name, state }) => [name, state]));
}

/** The tile files of a home's store. */
function tilesOf(home: string): string[] {
  const { storeDir } = homePaths({ STARLING_HOME: home });
  const files = readdirSync(storeDir, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.tile'));
  return files.map((file) => join(storeDir, file)).sort();
}

/** When, and as which file, each tile of a home was written. */
const writtenAt = (home: string): string[] =>
  tilesOf(home).map((file) => {
    const { mtimeMs, ino } = statSync(file);
    return `${file} ${ino} ${mtimeMs}`;
  });

function flipByte(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(file, bytes);
}

test('tiles are sent once, and again only when they are damaged', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const deviceHome = await sandbox.homeWithKey('device', key);
  const own = await sandbox.homeWithKey('own', key);
  const device = await sandbox.daemon('device', deviceHome);
  /** Serves, asks once, and ends. @returns the answer and what was logged */
  const serveOnce = async (): Promise<{ text: string; log: string }> => {
    const { process, url, devices } = await sandbox.serve(own, 'tiny-chat', [device]);
    assert.equal(devices, 2);
    const text = await complete(url);
    await process.stop();
    return { text, log: process.stderr };
  };
  const { text: expected, log } = await serveOnce();
  assert.match(log, /cut and delivered/);
  const [deviceTiles, ownTiles] = [tilesOf(deviceHome), tilesOf(own)];
  assert.ok(deviceTiles.length > 10 && ownTiles.length > 10);

  await t.test('a second serve sends and writes nothing', async () => {
    const before = [writtenAt(deviceHome), writtenAt(own)];
    const { text, log } = await serveOnce();
    assert.equal(text, expected);
    assert.doesNotMatch(log, /cut and delivered/);
    assert.deepEqual([writtenAt(deviceHome), writtenAt(own)], before);
  });

  const damages: readonly (readonly [what: string, tiles: string[], damage: (file: string) => void])[] = [
    ['a flipped bit on a device', deviceTiles, flipByte],
    ['a truncated tile on a device', deviceTiles, (file) => truncateSync(file, 100)],
    ['an empty tile on a device', deviceTiles, (file) => truncateSync(file, 0)],
    ['a flipped bit in the own store', ownTiles, flipByte],
    ['a truncated tile in the own store', ownTiles, (file) => truncateSync(file, 100)],
  ];
  for (const [what, tiles, damage] of damages) {
    await t.test(`${what} is found and mended, and the answer is the same`, async () => {
      const victims = [tiles[0]!, tiles[tiles.length >> 1]!];
      const intact = victims.map((file) => readFileSync(file));
      const others = [...deviceTiles, ...ownTiles].filter((file) => !victims.includes(file));
      const before = others.map((file) => statSync(file).mtimeMs);
      for (const file of victims) damage(file);
      const { text } = await serveOnce();
      assert.equal(text, expected);
      for (const [i, file] of victims.entries()) assert.ok(readFileSync(file).equals(intact[i]!), file);
      assert.deepEqual(
        others.map((file) => statSync(file).mtimeMs),
        before,
        'other tiles were written too',
      );
    });
  }

  await t.test('a tile that is damaged while a device is on is found when it is next loaded', async () => {
    const { process, url } = await sandbox.serve(own, 'tiny-chat', [device]);
    flipByte(deviceTiles[3]!);
    assert.equal(await complete(url), expected);
    await process.stop();
    const again = await serveOnce();
    assert.equal(again.text, expected);
    assert.match(again.log, /damaged/);
  });
});

test('a lost device ends what runs, by name, and the endpoint stays', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const one = await sandbox.daemon('one', await sandbox.homeWithKey('one', key));
  const two = await sandbox.daemon('two', await sandbox.homeWithKey('two', key));
  const { process, url } = await sandbox.serve(await sandbox.homeWithKey('own', key), 'tiny-chat', [one, two]);

  const response = await fetch(`${url}/v1/completions`, { method: 'POST', body: JSON.stringify(endless) });
  assert.equal(response.status, 200);
  const whole = rawRequest(`${url}/v1/completions`, { body: JSON.stringify(request) });
  let text = '';
  let killed = false;
  for await (const bytes of response.body ?? []) {
    text += Buffer.from(bytes).toString();
    if (killed || text.split('data: ').length < 10) continue;
    killed = true;
    await two.process.kill();
  }
  const last = text.trim().split('\n').at(-1) ?? '';
  const { error } = JSON.parse(last.replace(/^data: /, '')) as { error: { code: string; message: string } };
  assert.equal(error.code, 'device_lost', last);
  assert.match(error.message, /two|127\.0\.0\.1/);
  assert.doesNotMatch(text, /\[DONE\]/);

  // The one that waited in the queue, and those that come later.
  for (const later of [whole, rawRequest(`${url}/v1/completions`, { body: JSON.stringify(request) })]) {
    const started = performance.now();
    const answer = await later;
    assert.equal(answer.status, 503, answer.text);
    assert.equal(codeOf(answer.text), 'device_lost');
    assert.ok(performance.now() - started < 2000);
  }
  assert.deepEqual(await devicesOf(url), { 'this device': 'ready', one: 'ready', two: 'lost' });
  assert.ok(process.running);
  assert.deepEqual(await process.stop('SIGINT'), { code: 0, signal: null });
});

test('a device that freezes is lost, and is used again when it is back', {
  skip: process.platform === 'win32',
}, async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const device = await sandbox.daemon('device', await sandbox.homeWithKey('device', key));
  const own = await sandbox.homeWithKey('own', key);
  const first = await sandbox.serve(own, 'tiny-chat', [device]);
  const expected = await complete(first.url);
  device.process.signal('SIGSTOP');
  const started = performance.now();
  const { status, text } = await rawRequest(`${first.url}/v1/completions`, { body: JSON.stringify(request) });
  assert.deepEqual([status, codeOf(text)], [503, 'device_lost']);
  assert.ok(performance.now() - started < 10_000, 'silence counts as loss after two seconds');
  assert.deepEqual(await devicesOf(first.url), { 'this device': 'ready', device: 'lost' });
  await first.process.stop();

  device.process.signal('SIGCONT');
  await device.process.logged(/the coordinator left/);
  const second = await sandbox.serve(own, 'tiny-chat', [device]);
  assert.equal(second.devices, 2);
  assert.equal(await complete(second.url), expected);
});

test('a coordinator that is killed leaves its devices to the next', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const device = await sandbox.daemon('device', await sandbox.homeWithKey('device', key));
  const own = await sandbox.homeWithKey('own', key);
  const first = await sandbox.serve(own, 'tiny-chat', [device]);
  const expected = await complete(first.url);
  const running = fetch(`${first.url}/v1/completions`, { method: 'POST', body: JSON.stringify(endless) }).catch(
    () => null,
  );
  await sleep(100);
  await first.process.kill();
  await running;
  const second = await sandbox.serve(own, 'tiny-chat', [device]);
  assert.equal(second.devices, 2);
  assert.equal(await complete(second.url), expected);
  assert.ok(device.process.running);
});

test('a coordinator that is killed while it sends tiles leaves its devices to the next', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const deviceHome = await sandbox.homeWithKey('device', key);
  const device = await sandbox.daemon('device', deviceHome);
  const own = await sandbox.homeWithKey('own', key);
  const first = sandbox.startServe(own, 'tiny-chat', [device]);
  await device.process.logged(/was given a share of a model/);
  await first.kill();
  const second = await sandbox.serve(own, 'tiny-chat', [device]);
  assert.equal(second.devices, 2);
  assert.match(await complete(second.url), /^ there was/);
  const { storeDir } = homePaths({ STARLING_HOME: deviceHome });
  const halves = readdirSync(storeDir, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.tmp'));
  assert.deepEqual(halves, []);
});

test('a busy device is named and not used; two coordinators do not disturb each other', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const device = await sandbox.daemon('device', await sandbox.homeWithKey('device', key));
  const free = await sandbox.daemon('free', await sandbox.homeWithKey('free', key));
  const first = await sandbox.serve(await sandbox.homeWithKey('first', key), 'tiny-chat', [device]);
  const expected = await complete(first.url);
  const second = await sandbox.serve(await sandbox.homeWithKey('second', key), 'tiny-chat', [device, free]);
  assert.equal(second.devices, 2);
  assert.match(second.process.stderr, /device is serving [^"]+ and is not used/);
  assert.deepEqual(await devicesOf(second.url), { 'this device': 'ready', free: 'ready' });
  assert.deepEqual(await Promise.all([first, second].map(({ url }) => complete(url))), [expected, expected]);
});

test('a device of another cluster is refused by name', async (t) => {
  const sandbox = new Sandbox(t);
  const [ours, theirs] = [ClusterKey.generate(), ClusterKey.generate()];
  const device = await sandbox.daemon('device', await sandbox.homeWithKey('device', theirs));
  const own = await sandbox.homeWithKey('own', ours);
  const process = sandbox.startServe(own, 'tiny-chat', [device]);
  assert.deepEqual(await process.ended(30_000), { code: 3, signal: null });
  assert.match(
    process.stderr,
    new RegExp(`${device.address} belongs to another cluster.*${ours.keyId}.*\\[key_mismatch\\]`),
  );
  assert.ok(!process.stderr.includes(ours.toText()));
  assert.ok(device.process.running);
});

test('a device that does not answer is refused by name', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const device = await sandbox.daemon('device', await sandbox.homeWithKey('device', key));
  await device.process.stop();
  const process = sandbox.startServe(await sandbox.homeWithKey('own', key), 'tiny-chat', [device]);
  assert.deepEqual(await process.ended(30_000), { code: 1, signal: null });
  assert.match(process.stderr, new RegExp(`${device.address} cannot be reached.*\\[device_unreachable\\]`));
});

test('a home has one daemon, and its run file goes with it', async (t) => {
  const sandbox = new Sandbox(t);
  const home = await sandbox.homeWithKey('home', ClusterKey.generate());
  const { runFile } = homePaths({ STARLING_HOME: home });
  const first = await sandbox.daemon('first', home);
  const run = JSON.parse(readFileSync(runFile, 'utf8')) as { pid: number; port: number };
  assert.deepEqual([run.pid, run.port], [first.process.pid, first.port]);
  const second = await sandbox.run(['daemon', '--host', '127.0.0.1', '--port', '0', '--no-discovery'], { home });
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`process ${run.pid}, port ${run.port}.*\\[already_running\\]`));
  assert.deepEqual(await first.process.stop('SIGINT'), { code: 0, signal: null });
  assert.throws(() => statSync(runFile), { code: 'ENOENT' });
  const third = await sandbox.daemon('third', home);
  await third.process.kill();
  // What it left behind names a process that is gone.
  assert.ok(statSync(runFile).isFile());
  await sandbox.daemon('fourth', home);
});
