import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { claimHome, cleanHome } from '../../../daemon/device-home.ts';
import { lives, removeDeadSigns, SharedLifeSign, showLife, signsIn } from '../../../daemon/life-sign.ts';
import { homePaths } from '../../../daemon/paths.ts';
import { readRunFile, writeRunFile } from '../../../daemon/run-file.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const WINDOWS = process.platform === 'win32';

/** A process that shows in a folder that it lives. */
async function living(t: TestContext, folder: string) {
  const module = new URL('../../../daemon/life-sign.js', import.meta.url).href;
  const script = `const { showLife } = await import(${JSON.stringify(module)});
    console.log((await showLife(${JSON.stringify(folder)})).id);
    process.stdin.resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [id] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return { child, id: id.trim() };
}

test('C4: a process is alive by its sign until it ends, stopped or not, however long the path', {
  skip: WINDOWS,
}, async (t) => {
  const folder = join(temporaryFolder(t), 'x'.repeat(process.platform === 'linux' ? 120 : 1));
  mkdirSync(folder);
  const own = await showLife(folder);
  const { child, id } = await living(t, folder);
  assert.deepEqual((await signsIn(folder)).sort(), [own.id, id].sort());
  child.kill('SIGSTOP');
  assert.ok(await lives(folder, id));
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  assert.equal(await lives(folder, id), false);
  await removeDeadSigns(folder);
  assert.deepEqual(await signsIn(folder), [own.id]);
  assert.ok(await lives(folder, own.id));
  await own.remove();
  assert.deepEqual(readdirSync(folder), []);
});

test('C4: a sign that cannot be asked is alive while it is touched', async (t) => {
  const folder = temporaryFolder(t);
  const ago = (seconds: number, name: string): void => {
    writeFileSync(join(folder, name), '');
    const then = Date.now() / 1000 - seconds;
    utimesSync(join(folder, name), then, then);
  };
  ago(30, '00000000-00000001.alive');
  ago(120, '00000000-00000002.alive');
  ago(-3600, '00000000-00000003.alive');
  ago(30, '00000000-00000004.new');
  ago(120, '00000000-00000005.new');
  ago(999, 'other.alive');
  await removeDeadSigns(folder);
  const left = ['00000000-00000001.alive', '00000000-00000004.new', 'other.alive'];
  assert.deepEqual(readdirSync(folder).sort(), left);
  assert.deepEqual(await signsIn(join(folder, 'nowhere')), []);
});

test('a sign that is shared goes with its last holder, and comes again', async (t) => {
  const folder = temporaryFolder(t);
  const shared = new SharedLifeSign(folder);
  const [one, two] = await Promise.all([shared.hold(), shared.hold()]);
  assert.equal(one.id, two.id);
  await Promise.all([one.remove(), one.remove()]);
  assert.deepEqual(await signsIn(folder), [one.id]);
  const going = two.remove();
  const three = await shared.hold();
  await going;
  assert.deepEqual(await signsIn(folder), [three.id]);
  await three.remove();
  await assert.rejects(new SharedLifeSign(join(folder, 'nowhere')).hold(), { code: 'ENOENT' });
});

test('C4: of daemons that start in one home at one moment, one runs; a killed one leaves it free', async (t) => {
  const paths = homePaths({ STARLING_HOME: temporaryFolder(t) });
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => claimHome(paths)));
  const claims = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  assert.ok(claims.length <= 1);
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'already_running');
  await claims[0]?.remove();

  // The number of a process that lives, as after a kill in a container: it proves nothing.
  const run = { pid: process.pid, host: '127.0.0.1', port: 9, id: '0123456789abcdef', life: '00000000-00000000' };
  await writeRunFile(paths.runFile, run);
  assert.equal(await readRunFile(paths.runFile), null);
  const claim = await claimHome(paths);
  await writeRunFile(paths.runFile, { ...run, life: claim!.id });
  await cleanHome(paths);
  assert.equal((await readRunFile(paths.runFile))?.life, claim!.id);
  await assert.rejects(claimHome(paths), {
    code: 'already_running',
    message: new RegExp(`process ${process.pid}, port 9`),
  });
  await claim!.remove();
  await cleanHome(paths);
  assert.deepEqual(readdirSync(paths.home), []);
});
