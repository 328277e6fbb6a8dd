import assert from 'node:assert/strict';
import { test } from 'node:test';
import { obtainableMemory } from '../../../daemon/available-memory.ts';

const MIB = 2 ** 20;
const OWN = 10 * MIB;
const MEMINFO = 'MemTotal:        8388608 kB\nMemFree:          102400 kB\nMemAvailable:    4194304 kB\n';
const UNLIMITED_V1 = '9223372036854771712\n';

/**
 * What may be had by a process that has 10 MiB, in MiB, where the kernel tells this; groups by the path of their
 * folder.
 */
function obtainable(
  cgroup: string,
  mountinfo: string,
  groups: Record<string, Record<string, string | number>>,
): number {
  const files = new Map<string, string>([
    ['/proc/meminfo', MEMINFO],
    ['/proc/self/cgroup', cgroup],
    ['/proc/self/mountinfo', mountinfo],
  ]);
  for (const [folder, values] of Object.entries(groups)) {
    for (const [name, value] of Object.entries(values)) files.set(`${folder}/${name}`, String(value));
  }
  return obtainableMemory(OWN, (path) => files.get(path) ?? null) / MIB;
}

const V2 = '26 1 0:23 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n';
const stat = (activeMib: number, inactiveMib: number, more = ''): string =>
  `anon 1\nfile ${(activeMib + inactiveMib + 70) * MIB}\nshmem ${70 * MIB}\ninactive_file ${inactiveMib * MIB}\nactive_file ${activeMib * MIB}\n${more}`;

test('C5: page cache that can be reclaimed is not used memory', () => {
  const group = { 'memory.max': 350 * MIB, 'memory.high': 'max\n', 'memory.current': 340 * MIB };
  const v2 = (more: Record<string, string | number>): number =>
    obtainable('0::/app\n', V2, { '/sys/fs/cgroup/app': { ...group, ...more } });
  assert.equal(v2({ 'memory.stat': stat(0, 0) }), 20);
  assert.equal(v2({ 'memory.stat': stat(100, 150) }), 270, 'both lists of pages, and no shared memory');
  assert.equal(v2({ 'memory.stat': stat(100, 150, `slab_reclaimable ${5 * MIB}\n`) }), 275);
  assert.equal(v2({ 'memory.stat': stat(400, 150) }), 350, 'no more than the limit');
  assert.equal(v2({ 'memory.stat': stat(100, 150), 'memory.high': 300 * MIB }), 220);
  assert.equal(v2({ 'memory.stat': stat(100, 150), 'memory.max': 80 * MIB }), 10 + 0);
  assert.equal(v2({}), 20, 'without memory.stat');
  assert.equal(v2({ 'memory.max': 'max\n' }), 4096 + 10, 'MemAvailable, not MemFree');
});

test('C5: the tightest of all control groups counts, wherever they are mounted', () => {
  const nested = (path: string, root: string, mount: string): number =>
    obtainable(`0::${path}\n`, `30 1 0:23 ${root} ${mount} rw shared:9 - cgroup2 none rw\n`, {
      '/cg': { 'memory.max': 900 * MIB, 'memory.current': 800 * MIB, 'memory.stat': stat(20, 30) },
      '/cg/a.slice': {
        'memory.max': 'max\n',
        'memory.high': 500 * MIB,
        'memory.current': 450 * MIB,
        'memory.stat': '',
      },
      '/cg/a.slice/b': { 'memory.max': 400 * MIB, 'memory.current': 100 * MIB, 'memory.stat': stat(5, 5) },
      '/a b': { 'memory.max': 77 * MIB, 'memory.current': 0, 'memory.stat': '' },
    });
  assert.equal(nested('/a.slice/b', '/', '/cg'), 60);
  assert.equal(nested('/docker/id/a.slice/b', '/docker/id', '/cg'), 60, 'a path of the host, a mount of the container');
  assert.equal(nested('/a.slice', '/', '/cg'), 60);
  assert.equal(nested('/', '/', '/cg'), 160);
  assert.equal(nested('/../elsewhere', '/', '/cg'), 160, 'outside the namespace of control groups');
  assert.equal(nested('/docker/other', '/docker/id', '/cg'), 160);
  assert.equal(nested('/', '/', '/a\\040b'), 77);

  const v1 = (values: Record<string, string | number>): number =>
    obtainable(
      '11:cpu,cpuacct:/x\n4:hugetlb,memory:/x\n1:name=systemd:/x\n0::/x\n',
      `${V2}35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n`,
      { '/sys/fs/cgroup/memory/x': { 'memory.usage_in_bytes': 340 * MIB, ...values } },
    );
  const cached = `cache 1\nrss 1\ninactive_file 0\nactive_file 0\nhierarchical_memory_limit ${UNLIMITED_V1}total_inactive_file ${200 * MIB}\ntotal_active_file ${40 * MIB}\n`;
  assert.equal(v1({ 'memory.limit_in_bytes': 350 * MIB, 'memory.stat': cached }), 260);
  assert.equal(v1({ 'memory.limit_in_bytes': UNLIMITED_V1, 'memory.stat': cached }), 4106);
  const above = cached.replace(UNLIMITED_V1.trim(), String(200 * MIB));
  assert.equal(v1({ 'memory.limit_in_bytes': UNLIMITED_V1, 'memory.stat': above }), 110);
});

test('where the kernel tells nothing, what Node tells counts', () => {
  assert.equal(
    obtainableMemory(
      5,
      () => null,
      () => 7,
    ),
    12,
  );
});
