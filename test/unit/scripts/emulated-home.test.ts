import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { describe, it } from 'node:test';
import { ControlGroup, controlUnavailable } from '../../../scripts/control-groups.ts';
import { withEmulatedHome } from '../../../scripts/emulated-home.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { withoutC } from './needs-c.ts';

/** Groups of this process. */
function groupsLeft(): string[] {
  const probe = new ControlGroup('probe');
  probe.removeNow();
  return readdirSync(dirname(probe.folders[0]!)).filter((name) => name.startsWith(`starling-${process.pid}-`));
}

const GROUP_AND_CORES = 'cat /proc/self/cgroup; grep Cpus_allowed_list /proc/self/status';

describe('emulated home', { skip: withoutC || (controlUnavailable(tmpdir()) ?? false) }, () => {
  const serving = { core: '0', cpu: 0.5, memory: 500e6, disk: 100e6 };
  const others = [{ core: '0', cpu: 0.4, memory: 400e6, disk: 50e6, delayMs: 1, mbit: 100 }];

  it('runs what it is given on the serving device, beside daemons, and leaves nothing', async (context) => {
    const storeDir = temporaryFolder(context);
    await withEmulatedHome({ serving, others, mbit: 100 }, { storeDir, backend: 'reference' }, async (home) => {
      const [command = '', ...args] = [...home.prefix, 'sh', '-c', GROUP_AND_CORES];
      const { stdout } = spawnSync(command, args, { encoding: 'utf8' });
      assert.match(stdout, new RegExp(`/starling-${process.pid}-serving\n`));
      assert.match(stdout, /Cpus_allowed_list:\s+0\n/);
      assert.equal(home.peers.length, 1);
      const socket = connect({ ...home.peers[0]! });
      await once(socket, 'connect');
      socket.destroy();
      assert.deepEqual(groupsLeft().sort(), [`starling-${process.pid}-device1`, `starling-${process.pid}-serving`]);
    });
    assert.deepEqual(groupsLeft(), []);
  });

  it('leaves nothing either where what it was given fails', async (context) => {
    const options = { storeDir: temporaryFolder(context), backend: 'reference' } as const;
    const failing = withEmulatedHome({ serving, others: [], mbit: 100 }, options, async () => {
      throw new Error('it failed');
    });
    await assert.rejects(failing, /it failed/);
    assert.deepEqual(groupsLeft(), []);
  });
});
