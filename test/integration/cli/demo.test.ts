import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { isAlive } from '../../fixtures/is-alive.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

test('demo answers, serves on, and leaves nothing behind', { skip: process.platform === 'win32' }, async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const demo = sandbox.start(['demo', '--devices', '2', '--port', '0', '--threads', '1'], { home });
  const [shown, url] = await demo.printed(/is served at (http:\S+)\/v1 by 2 devices[\s\S]+Ctrl-C ends the demo/);
  const answer = shown.split('> Tell me a story about a dog.\n')[1]!.split('\n')[0]!;
  assert.match(answer, /^[A-Z].{20,}/);
  const children = childrenOf(demo.pid);
  assert.ok(children.length >= 2, 'the devices, and what else there is');

  const { text } = await rawRequest(`${url}/health`);
  const { devices } = JSON.parse(text) as { devices: { name: string; state: string }[] };
  assert.deepEqual(devices.map(({ name, state }) => `${name} ${state}`).sort(), ['local-1 ready', 'local-2 ready']);

  const chat = ['chat', '--url', url!, '--temperature', '0'];
  const asked = await sandbox.run(chat, { home, stdin: 'Tell me a story about a dog.\n\n/reset\nWho are you?\n' });
  assert.deepEqual([asked.code, asked.stderr], [0, '']);
  const lines = asked.stdout.split('\n');
  assert.deepEqual([lines.length, lines[0], lines[2]], [3, answer, '']);
  assert.match(lines[1]!, /^I am /);
  const ended = await sandbox.run(chat, { home, stdin: '/exit\nWho are you?\n' });
  assert.deepEqual([ended.code, ended.stdout], [0, '']);

  demo.signal('SIGINT');
  assert.deepEqual(await demo.ended(20_000), { code: 0, signal: null });
  assert.equal(demo.stderr, '');
  for (const pid of children) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, `process ${pid} is left`);
  const late = await sandbox.run(chat, { home, stdin: 'Hello\n' });
  assert.equal(late.code, 1);
  assert.match(late.stderr, /nothing answers at .*\[endpoint_unreachable\]/);
});

test('C14: what a killed command leaves is cleaned by the next; a closed terminal ends one in order', {
  skip: process.platform === 'win32',
}, async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const left = (): string[] =>
    readdirSync(home, { recursive: true, encoding: 'utf8' })
      .map((path) => basename(path))
      .filter((name) => /^starling-|^run\.json$|\.(use|alive|new|tmp)$/.test(name));

  const demo = sandbox.start(['demo', '--devices', '2', '--port', '0', '--threads', '1'], { home });
  await demo.printed(/Ctrl-C ends the demo/);
  const children = childrenOf(demo.pid);
  assert.ok(children.length >= 2, 'the devices, and what else there is');
  // Its folder is that of a demo that runs.
  await sandbox.run(['store', 'ls'], { home });
  const folder = left().find((name) => name.startsWith('starling-local-'));
  assert.ok(folder !== undefined && existsSync(join(home, folder, 'device-2/cluster.key')));
  await demo.kill();
  const deadline = performance.now() + 10_000;
  while (children.some(isAlive)) {
    assert.ok(performance.now() < deadline, `processes ${children.filter(isAlive).join()} are left`);
    await sleep(50);
  }
  const killed = await sandbox.daemon('device', home);
  await killed.process.kill();
  assert.ok(left().includes('run.json'));

  const removed = await sandbox.run(['store', 'rm', '--all'], { home });
  assert.match(removed.stdout, /^removed Starling tiny chat/, removed.stderr);
  assert.deepEqual(left(), []);

  const hung = await sandbox.daemon('device', home);
  assert.deepEqual(await hung.process.stop('SIGHUP'), { code: 0, signal: null });
  assert.deepEqual(left(), []);
});

/** Process ids of the children of a process. */
function childrenOf(pid: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  return rows.flatMap(([child, parent]) => (parent === pid && child !== undefined ? [child] : []));
}
