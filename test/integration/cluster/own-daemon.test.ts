import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ClusterKey, importKey } from '../../../daemon/cluster-key.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { createLogger } from '../../../daemon/log.ts';
import { homePaths } from '../../../daemon/paths.ts';
import { LinkServer } from '../../../daemon/protocol/link-server.ts';
import { openJsChannel } from '../../../daemon/protocol/open-channel.ts';
import { writeRunFile } from '../../../daemon/run-file.ts';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

const FREE_MS = 10_000;

interface Row {
  readonly name: string;
  readonly state: string;
  readonly status?: { readonly model: string | null; readonly lent: boolean; readonly tiles: number };
}

/** A home, what its daemon says, and what its endpoint answers. */
class Computer {
  readonly sandbox: Sandbox;
  readonly home: string;
  readonly key: ClusterKey;

  private constructor(sandbox: Sandbox, home: string, key: ClusterKey) {
    this.sandbox = sandbox;
    this.home = home;
    this.key = key;
  }

  static async create(t: TestContext): Promise<Computer> {
    const sandbox = new Sandbox(t);
    const key = ClusterKey.generate();
    return new Computer(sandbox, await sandbox.homeWithKey('home', key), key);
  }

  async #devices(): Promise<Row | undefined> {
    const rows = await this.sandbox.runJson<Row[]>(['devices', '--no-discovery', '--json'], { home: this.home });
    assert.equal(rows.length, 1);
    return rows[0];
  }

  /** What "starling devices" says of its daemon. */
  async state(): Promise<string> {
    const row = await this.#devices();
    return row?.status?.lent ? `${row.state}, lent, ${row.status.tiles} tiles` : (row?.state ?? '');
  }

  /** Waits until its daemon is in a state. */
  async becomes(state: string): Promise<void> {
    let now = '';
    for (const until = performance.now() + FREE_MS; now !== state && performance.now() < until; ) {
      now = await this.state();
    }
    assert.equal(now, state);
  }
}

const LENT = 'serving, lent, 0 tiles';

async function devicesOf(url: string): Promise<string[]> {
  const { text } = await rawRequest(`${url}/health`);
  return (JSON.parse(text) as { devices: { name: string; state: string }[] }).devices
    .map(({ name, state }) => `${name} ${state}`)
    .sort();
}

async function complete(url: string): Promise<string> {
  const body = JSON.stringify({ prompt: 'Once upon a time', temperature: 0, max_tokens: 24 });
  const { status, text } = await rawRequest(`${url}/v1/completions`, { body });
  assert.equal(status, 200, text);
  return (JSON.parse(text) as { choices: { text: string }[] }).choices[0]!.text;
}

test('serve borrows the device from its daemon, which is busy meanwhile and free when serve ends in any way', async (t) => {
  const computer = await Computer.create(t);
  const { sandbox, home, key } = computer;
  const alone = await sandbox.serve(home, 'tiny-chat', []);
  const text = await complete(alone.url);
  await alone.process.stop();

  const daemon = await sandbox.daemon('mine', home);
  await computer.becomes('free');
  // Named besides, it is still one device, and no other.
  const first = await sandbox.serve(home, 'tiny-chat', [daemon]);
  assert.equal(first.devices, 1);
  assert.deepEqual(await devicesOf(first.url), ['this device ready']);
  assert.equal(await complete(first.url), text);
  assert.match(first.process.stderr, /mine, the daemon of this device, lends it to this command/);
  assert.match(first.process.stderr, /mine is this device, and not used over the network/);
  assert.doesNotMatch(daemon.process.stderr, /was given a share of a model/);
  assert.equal(await computer.state(), LENT);
  const { stdout } = await sandbox.run(['devices', '--no-discovery'], { home });
  assert.match(stdout, /^mine +\S+ +serving .*, Starling tiny chat, lent to "starling serve" on the same computer$/m);

  await t.test('another computer does not use it', async () => {
    const other = await sandbox.serve(await sandbox.homeWithKey('other', key), 'tiny-chat', [daemon]);
    assert.match(other.process.stderr, /mine is serving Starling tiny chat and is not used/);
    assert.deepEqual(await devicesOf(other.url), ['this device ready']);
    await other.process.stop();
  });

  await t.test('the model in use is not removed from the store, by the daemon or by hand', async () => {
    const removed = await sandbox.run(['store', 'rm', '--all'], { home });
    assert.match(removed.stderr, /\[model_in_use\]/);
  });

  await t.test('after Ctrl-C', async () => {
    assert.deepEqual(await first.process.stop('SIGINT'), { code: 0, signal: null });
    assert.doesNotMatch(first.process.stderr, /"level":(40|50|60)/);
    await computer.becomes('free');
    const marks = readdirSync(homePaths({ STARLING_HOME: home }).storeDir, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      marks.filter((name) => /\.(use|alive)$/.test(name)),
      [],
    );
  });

  await t.test('after a crash', async () => {
    const second = await sandbox.serve(home, 'tiny-chat', []);
    assert.equal(await computer.state(), LENT);
    await second.process.kill();
    await computer.becomes('free');
    const peer = await sandbox.serve(await sandbox.homeWithKey('other', key), 'tiny-chat', [daemon]);
    assert.deepEqual(await devicesOf(peer.url), ['mine ready', 'this device ready']);
    assert.equal(await complete(peer.url), text);
  });
});

test('serve borrows a daemon that comes late, stays when it ends, and borrows the next one', async (t) => {
  const computer = await Computer.create(t);
  const { sandbox, home } = computer;
  const served = await sandbox.serve(home, 'tiny-chat', []);
  const text = await complete(served.url);
  const daemon = await sandbox.daemon('mine', home);
  await served.process.logged(/mine, the daemon of this device, lends it to this command/);
  assert.equal(await computer.state(), LENT);
  assert.deepEqual(await daemon.process.stop('SIGINT'), { code: 0, signal: null });
  await served.process.logged(/mine, the daemon of this device, went away .*; its share is computed here as before/);
  assert.equal(await complete(served.url), text);
  assert.deepEqual(await devicesOf(served.url), ['this device ready']);

  const next = await sandbox.daemon('next', home);
  await served.process.logged(/next, the daemon of this device, lends it to this command/);
  assert.equal(await computer.state(), LENT);

  await t.test('a serve that is frozen loses it, and has it back', { skip: process.platform === 'win32' }, async () => {
    served.process.signal('SIGSTOP');
    await next.process.logged(/this device was given back/);
    assert.equal(await computer.state(), 'free');
    served.process.signal('SIGCONT');
    await served.process.logged(/next, the daemon of this device, went away/);
    await computer.becomes(LENT);
    assert.equal(await complete(served.url), text);
  });

  assert.deepEqual(await served.process.stop('SIGTERM'), { code: 0, signal: null });
  await computer.becomes('free');
});

test('a daemon that another coordinator uses keeps its device: serve adds no share, unless it is alone', async (t) => {
  const computer = await Computer.create(t);
  const { sandbox, home, key } = computer;
  const daemon = await sandbox.daemon('mine', home);
  const free = await sandbox.daemon('free', await sandbox.homeWithKey('free', key));
  const other = await sandbox.serve(await sandbox.homeWithKey('other', key), 'tiny-chat', [daemon]);
  const text = await complete(other.url);

  const beside = await sandbox.serve(home, 'tiny-chat', [daemon, free]);
  assert.match(beside.process.stderr, /the daemon of this device is in use \(mine is serving Starling tiny chat\)/);
  assert.deepEqual(await devicesOf(beside.url), ['free ready']);
  assert.equal(await complete(beside.url), text);
  await beside.process.stop();

  const alone = await sandbox.serve(home, 'tiny-chat', []);
  assert.match(alone.process.stderr, /there is no other device; the whole model is computed here all the same/);
  assert.deepEqual(await devicesOf(alone.url), ['this device ready']);
  assert.deepEqual(await Promise.all([alone, other].map(({ url }) => complete(url))), [text, text]);
});

test('the device is used as its daemon was told, unless serve was told otherwise', async (t) => {
  const { sandbox, home } = await Computer.create(t);
  const store = mkdtempSync(join(sandbox.folder, 'store-'));
  await sandbox.daemon('mine', home, ['--memory', '900MB', '--backend', 'reference', '--store', store]);
  const budgetOf = (log: string): number =>
    Number(/"device":"this device","memory":\{"budget":(\d+)/.exec(log)?.[1] ?? Number.NaN);

  const served = await sandbox.serve(home, 'tiny-chat', []);
  const budget = budgetOf(served.process.stderr);
  assert.ok(budget > 700e6 && budget < 880e6, `${budget} bytes of 900 MB, of which the daemon keeps some`);
  assert.ok(readdirSync(store, { recursive: true, encoding: 'utf8' }).some((name) => name.endsWith('.tile')));
  await served.process.stop();

  const told = await sandbox.serve(home, 'tiny-chat', [], ['--memory', '1GB']);
  assert.equal(budgetOf(told.process.stderr), 1e9);
});

test('a daemon that cannot be borrowed is named, and serve computes beside it', async (t) => {
  const serves = async (computer: Computer, warning: RegExp): Promise<void> => {
    const served = await computer.sandbox.serve(computer.home, 'tiny-chat', []);
    assert.match(served.process.stderr, warning);
    assert.deepEqual(await devicesOf(served.url), ['this device ready']);
    await served.process.stop();
  };

  await t.test('it has another key', async (t) => {
    const computer = await Computer.create(t);
    await computer.sandbox.daemon('mine', computer.home);
    await importKey(homePaths({ STARLING_HOME: computer.home }).keyFile, ClusterKey.generate(), true);
    await serves(
      computer,
      /cannot borrow this device from its daemon.*another cluster key than this device.*start it again/,
    );
  });

  await t.test('it is of another version', async (t) => {
    const computer = await Computer.create(t);
    const server = new LinkServer({
      key: computer.key,
      log: createLogger('silent', 'test'),
      // As a daemon does that cannot read the greeting.
      onControl: (link) => link.fail(new StarlingError('protocol_version', 'another version')),
      secretOf: () => null,
      onData: () => {},
      openChannel: openJsChannel,
    });
    const port = await server.start(0, '127.0.0.1');
    t.after(() => server.stop());
    const { runFile } = homePaths({ STARLING_HOME: computer.home });
    await writeRunFile(runFile, { pid: process.pid, host: '127.0.0.1', port, id: '0123456789abcdef' });
    await serves(computer, /cannot borrow this device from its daemon.*another version of the protocol/);
  });

  await t.test('it does not answer', { skip: process.platform === 'win32' }, async (t) => {
    const computer = await Computer.create(t);
    const daemon = await computer.sandbox.daemon('mine', computer.home);
    daemon.process.signal('SIGSTOP');
    await serves(computer, /cannot borrow this device from its daemon.*did not answer within/);
  });
});
