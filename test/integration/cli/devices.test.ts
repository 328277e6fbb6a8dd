import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

test('devices lists the free, the busy, the foreign and the silent', async (t) => {
  const sandbox = new Sandbox(t);
  const [key, other] = [ClusterKey.generate(), ClusterKey.generate()];
  const home = await sandbox.homeWithKey('home', key);
  const empty = await sandbox.run(['devices', '--no-discovery'], { home });
  assert.match(empty.stdout, /^no devices: start "starling daemon"/);

  const mine = await sandbox.daemon('mine', home);
  const busy = await sandbox.daemon('busy', await sandbox.homeWithKey('busy', key));
  const foreign = await sandbox.daemon('foreign', await sandbox.homeWithKey('foreign', other));
  const gone = await sandbox.daemon('gone', await sandbox.homeWithKey('gone', key));
  await gone.process.stop();
  const served = await sandbox.serve(await sandbox.homeWithKey('user', key), 'tiny-chat', [busy]);

  const peers = [busy, foreign, gone].flatMap(({ address }) => ['--peer', address]);
  const rows = await sandbox.runJson<
    { name: string; address: string; state: string; why?: string; status?: { model: string | null; tiles: number } }[]
  >(['devices', '--no-discovery', '--json', ...peers], { home });
  assert.deepEqual(
    rows.map(({ name, address, state }) => [name, address, state]),
    [
      // The daemon of this home is found without being named.
      ['mine', mine.address, 'free'],
      ['busy', busy.address, 'serving'],
      [foreign.address, foreign.address, 'other cluster'],
      [gone.address, gone.address, 'unreachable'],
    ],
  );
  assert.deepEqual([rows[0]!.status?.model, rows[0]!.status?.tiles], [null, 0]);
  assert.equal(typeof rows[1]!.status?.model, 'string');
  assert.ok(rows[1]!.status!.tiles > 10);
  const { stdout } = await sandbox.run(['devices', '--no-discovery', ...peers], { home });
  assert.equal(stdout.trim().split('\n').length, 4);
  assert.match(stdout, /^busy +\S+ +serving .* tiles\): \d+ MB in \d+ tiles kept in memory, .* MB allowed$/m);
  await served.process.stop();
});
