import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  ControlGroup,
  controlTrees,
  controlUnavailable,
  cpuLimit,
  readLimit,
} from '../../../scripts/control-groups.ts';

const V1 = `tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/blkio cgroup rw,blkio 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
`;
const V2 = 'cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n';

/** Computes for as many milliseconds as its argument says, and writes how many it had of a core. */
const SPIN = `
  const end = performance.now() + Number(process.argv[1]);
  const before = process.cpuUsage();
  while (performance.now() < end);
  const { user, system } = process.cpuUsage(before);
  console.log((user + system) / 1000);
`;

describe('where control groups are', () => {
  it('prefers trees of each controller, as then the tree of all has none', () => {
    const found = { version: 1, cpu: '/sys/fs/cgroup/cpu,cpuacct', blkio: '/sys/fs/cgroup/blkio' };
    assert.deepEqual(
      controlTrees(V1, () => ''),
      found,
    );
  });

  it('takes the tree of all only with both controllers', () => {
    assert.deepEqual(
      controlTrees(V2, () => 'cpuset cpu io memory\n'),
      { version: 2, all: '/sys/fs/cgroup' },
    );
    assert.equal(
      controlTrees(V2, () => 'cpu memory\n'),
      null,
    );
    assert.equal(controlTrees('', String), null);
  });
});

describe('what limits a group', () => {
  it('gives the shortest period that has a millisecond of quota', () => {
    assert.deepEqual(cpuLimit(1, 0.5), [
      ['cpu.cfs_period_us', '2000'],
      ['cpu.cfs_quota_us', '1000'],
    ]);
    assert.deepEqual(cpuLimit(2, 0.1), [['cpu.max', '1000 10000']]);
    assert.deepEqual(cpuLimit(2, 1), [['cpu.max', '1000 1000']]);
  });

  it('limits reads of one disk', () => {
    assert.deepEqual(readLimit(1, '254:0', 50e6), ['blkio.throttle.read_bps_device', '254:0 50000000']);
    assert.deepEqual(readLimit(2, '8:0', 50e6), ['io.max', '8:0 rbps=50000000']);
  });
});

describe('control groups', { skip: controlUnavailable() ?? false }, () => {
  it('let a process have its part of a core, and go when it has ended', async () => {
    const group = new ControlGroup('test');
    group.limitCpu(0.2);
    const [command = '', ...args] = [...group.prefix, process.execPath, '-e', SPIN, '400'];
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    await group.remove();
    const ms = Number(stdout);
    // A busy machine may have given it less, and by as much as the kernel lets pass before it looks, it may be more.
    assert.ok(ms > 0 && ms < 120, `${stdout} ${stderr}`);
    assert.ok(!existsSync(group.folders[0]!));
  });

  it('of a killed process go with the next one', async () => {
    const ended = spawn(process.execPath, ['-e', '']);
    await once(ended, 'exit');
    const probe = new ControlGroup('probe');
    const [folder = ''] = probe.folders;
    const abandoned = folder.replace(String(process.pid), String(ended.pid));
    mkdirSync(abandoned);
    new ControlGroup('next').removeNow();
    assert.ok(!existsSync(abandoned));
    // Of one that lives, they stay.
    assert.equal(readFileSync(probe.weightFile, 'utf8').trim(), String(probe.weights.ordinary));
    probe.removeNow();
  });
});
