import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '../test/fixtures/is-alive.ts';

/** Where the kernel takes limits of groups of processes: one tree of all (v2), or one of each controller (v1). */
export type ControlTrees =
  | { readonly version: 1; readonly cpu: string; readonly blkio: string }
  | { readonly version: 2; readonly all: string };

/** How a group shares a core with others: `most` has all that it wants, `least` what is left over. */
export type Priority = 'most' | 'ordinary' | 'least';

/** As each version counts it; the ordinary one is that of a process in no group. */
const WEIGHTS = {
  1: { most: 262_144, ordinary: 1024, least: 2 },
  2: { most: 10_000, ordinary: 100, least: 1 },
} as const satisfies Record<ControlTrees['version'], Record<Priority, number>>;

/** Of groups of these scripts: the process that made them, and which it is. */
const NAME = /^starling-(\d+)-\w+$/;
/** For the kernel to be done with a process that has ended. */
const REMOVE_TRIES = 100;
const REMOVE_WAIT_MS = 20;

/** @param mounts as in /proc/mounts; null where neither version controls cores and disks */
export function controlTrees(mounts: string, read = readText): ControlTrees | null {
  const rows = mounts.split('\n').map((line) => line.split(' '));
  const v1 = (controller: string): string | undefined =>
    rows.find(([, , type, options]) => type === 'cgroup' && options?.split(',').includes(controller))?.[1];
  const [cpu, blkio] = [v1('cpu'), v1('blkio')];
  if (cpu !== undefined && blkio !== undefined) return { version: 1, cpu, blkio };
  const all = rows.find(([, , type]) => type === 'cgroup2')?.[1];
  if (all === undefined) return null;
  const there = read(join(all, 'cgroup.controllers')).trim().split(' ');
  return there.includes('cpu') && there.includes('io') ? { version: 2, all } : null;
}

/**
 * Why processes cannot be slowed here, or null when they can.
 * @param folder on a disk of which reads are to be slowed too
 */
export function controlUnavailable(folder?: string): string | null {
  if (process.platform !== 'linux') return 'control groups are a feature of Linux';
  if (process.getuid?.() !== 0) return 'making control groups needs root';
  const trees = controlTrees(readText('/proc/mounts'));
  if (trees === null) return 'no control groups of cores and disks are mounted here';
  try {
    const group = new ControlGroup('probe');
    try {
      if (folder !== undefined) group.limitReads(folder, 1e9);
    } finally {
      group.removeNow();
    }
    return null;
  } catch (error) {
    return `no control groups here (${(error as Error).message})`;
  }
}

/**
 * A group of processes that share cores and disks with others as it is told. Those that a killed process left behind
 * are removed with the next one that is made.
 */
export class ControlGroup {
  /** A command that becomes the one after it, in this group. */
  readonly prefix: readonly string[];
  /** Where `WEIGHTS` are written. */
  readonly weightFile: string;
  readonly weights: Readonly<Record<Priority, number>>;
  readonly #trees: ControlTrees;
  /** In the trees of cores and of disks, which may be one. */
  readonly folders: readonly string[];

  /**
   * @param role letters and digits, of this process's groups only this one's
   * @throws Error without root or controllers
   */
  constructor(role: string) {
    const trees = controlTrees(readText('/proc/mounts'));
    if (trees === null) throw new Error('no control groups of cores and disks are mounted here');
    const roots = trees.version === 1 ? [trees.cpu, trees.blkio] : [trees.all];
    for (const root of roots) removeAbandoned(root);
    if (trees.version === 2) writeFileSync(join(trees.all, 'cgroup.subtree_control'), '+cpu +io');
    this.#trees = trees;
    this.folders = roots.map((root) => join(root, `starling-${process.pid}-${role}`));
    for (const folder of this.folders) mkdirSync(folder);
    const [first = ''] = this.folders;
    this.weights = WEIGHTS[trees.version];
    this.weightFile = join(first, trees.version === 1 ? 'cpu.shares' : 'cpu.weight');
    const enter = this.folders.map((folder) => `echo $$ > ${folder}/cgroup.procs`).join(' && ');
    this.prefix = ['sh', '-c', `${enter} && exec "$@"`, 'sh'];
  }

  /** Moves a running process here with all its threads. */
  add(pid: number): void {
    for (const folder of this.folders) writeFileSync(join(folder, 'cgroup.procs'), String(pid));
  }

  set priority(priority: Priority) {
    writeFileSync(this.weightFile, String(this.weights[priority]));
  }

  /** @param share of a core, that all its processes together have at most: over 0, up to 1 */
  limitCpu(share: number): void {
    const [first = ''] = this.folders;
    for (const [file, limit] of cpuLimit(this.#trees.version, share)) writeFileSync(join(first, file), limit);
  }

  /**
   * Slows what bypasses the system's cache: reads of the disk that holds a folder.
   * @throws Error where the folder is on no disk
   */
  limitReads(folder: string, bytesPerSecond: number): void {
    const [file, limit] = readLimit(this.#trees.version, diskOf(folder), bytesPerSecond);
    writeFileSync(join(this.folders.at(-1)!, file), limit);
  }

  /** Removes it, once its processes have ended. @throws Error when they do not */
  async remove(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        this.removeNow();
        return;
      } catch (error) {
        if (tries === REMOVE_TRIES) throw error;
        await sleep(REMOVE_WAIT_MS);
      }
    }
  }

  /** @throws Error while there are processes in it */
  removeNow(): void {
    for (const folder of this.folders) removeFolder(folder);
  }
}

/** The shortest time that the kernel lets a group have in a period. */
const QUOTA_US = 1000;

/**
 * The files of a group in which its part of a core is limited, and what is written there, in this order. The periods
 * are as short as the kernel takes, so that also a phase of some milliseconds sees the average and no bursts.
 * @param share over 0, up to 1
 */
export function cpuLimit(version: ControlTrees['version'], share: number): [string, string][] {
  const periodUs = Math.round(QUOTA_US / share);
  if (version === 2) return [['cpu.max', `${QUOTA_US} ${periodUs}`]];
  return [
    ['cpu.cfs_period_us', String(periodUs)],
    ['cpu.cfs_quota_us', String(QUOTA_US)],
  ];
}

/** The file of a group in which reads of a disk are limited, and what is written there. @param disk `254:0` */
export const readLimit = (version: ControlTrees['version'], disk: string, bytesPerSecond: number): [string, string] =>
  version === 1
    ? ['blkio.throttle.read_bps_device', `${disk} ${Math.round(bytesPerSecond)}`]
    : ['io.max', `${disk} rbps=${Math.round(bytesPerSecond)}`];

/** Major and minor number of the whole disk that a folder is on: limits are not taken for its partitions. */
function diskOf(folder: string): string {
  const options = { encoding: 'utf8' } as const;
  const source = execFileSync('findmnt', ['-n', '-o', 'MAJ:MIN', '-T', folder], options).trim();
  const path = execFileSync('readlink', ['-f', `/sys/dev/block/${source}`], options).trim();
  for (const at of [path, join(path, '..')]) {
    if (readText(join(at, 'queue/scheduler')) !== '') return readText(join(at, 'dev')).trim();
  }
  throw new Error(`${folder} is not on a disk whose reads can be limited`);
}

function removeAbandoned(root: string): void {
  for (const name of readdirSync(root)) {
    const pid = Number(NAME.exec(name)?.[1]);
    if (Number.isNaN(pid) || isAlive(pid)) continue;
    try {
      removeFolder(join(root, name));
    } catch {
      // Its processes are still ending; another time.
    }
  }
}

function removeFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Empty for a file that is not there. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
