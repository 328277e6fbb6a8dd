import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** What the kernel tells, as text; null for a file that is not there. */
export type ReadText = (path: string) => string | null;

/** A limit at or above this is none: cgroup v1 writes the largest number of pages there is. */
const NO_LIMIT = 2 ** 60;

/**
 * Bytes that a process may have resident which has `own` bytes so far: these, and what the system has available and
 * each control group has left that it is in, up to the outermost. Pages that only cache files count as available
 * everywhere, as the system gives them up when memory is wanted. On Linux; elsewhere by what Node tells.
 */
export function obtainableMemory(
  own: number,
  read: ReadText = readSystem,
  fallback = (): number => process.availableMemory(),
): number {
  const meminfo = fields(read('/proc/meminfo'));
  const available = meminfo.get('MemAvailable');
  const total = meminfo.get('MemTotal');
  if (available === undefined || total === undefined) return fallback() + own;
  const system = { limit: total * 1024, left: available * 1024 };
  const levels = [system, ...groupFolders(read).map((folder) => group(folder, read))];
  // The program's own pages of files are among both: no level gives more than it has.
  return Math.min(...levels.map(({ limit, left }) => Math.min(limit, left + own)));
}

/** Limit of a control group and what is left of it, in bytes; Infinity where it has none. */
function group(folder: string, read: ReadText): { readonly limit: number; readonly left: number } {
  const stat = fields(read(`${folder}/memory.stat`));
  const number = (file: string): number | undefined => {
    const text = read(`${folder}/${file}`);
    return text !== null && /^\d+\s*$/.test(text) ? Number(text) : undefined;
  };
  const limits = [
    // v2: above "high" the processes are slowed down until they are below it
    number('memory.max'),
    number('memory.high'),
    // v1: the tightest limit of the groups above is told as well, which a container cannot see
    number('memory.limit_in_bytes'),
    stat.get('hierarchical_memory_limit'),
  ].filter((each) => each !== undefined && each < NO_LIMIT) as number[];
  const limit = Math.min(...limits);
  const used = number('memory.current') ?? number('memory.usage_in_bytes') ?? 0;
  return { limit, left: Math.max(0, limit - Math.max(0, used - reclaimable(stat))) };
}

/**
 * Bytes of a group that are given up when memory is wanted: pages of files, and what the kernel remembers of them.
 * Shared memory and tmpfs, which "file" and "cache" contain, are not among them: these are kept with the anonymous
 * pages. In v1, the numbers with "total_" include the groups below, as the usage does.
 */
function reclaimable(stat: ReadonlyMap<string, number>): number {
  const pages = ['inactive_file', 'active_file'].map((name) => stat.get(`total_${name}`) ?? stat.get(name) ?? 0);
  return pages.reduce((sum, bytes) => sum + bytes, 0) + (stat.get('slab_reclaimable') ?? 0);
}

/**
 * The folders of the memory control groups that this process is in, innermost first, v2 and v1. A container sees its
 * own group at the top of the mount, or a path of the host that begins with the mount's root.
 */
function groupFolders(read: ReadText): string[] {
  const groups = lines(read('/proc/self/cgroup')).flatMap((line) => {
    const [, , controllers, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined || !(controllers === '' || controllers?.split(',').includes('memory'))) return [];
    return [{ path, type: controllers === '' ? 'cgroup2' : 'cgroup' }];
  });
  return lines(read('/proc/self/mountinfo')).flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '', mount = ''] = before.split(' ').map(unescaped);
    const [type, , options = ''] = after.split(' ');
    if (type === 'cgroup' && !options.split(',').includes('memory')) return [];
    const group = groups.find((each) => each.type === type);
    return group === undefined ? [] : upwards(mount, inside(group.path, root));
  });
}

/** The path of a group below the root of a mount; the mount's top where it is not below it. */
function inside(path: string, root: string): string {
  if (root === '/') return path.startsWith('/..') ? '/' : path;
  return path === root || path.startsWith(`${root}/`) ? path.slice(root.length) || '/' : '/';
}

/** A folder below a mount and all above it up to the mount. */
function upwards(mount: string, path: string): string[] {
  const folders = [posix.join(mount, path).replace(/\/$/, '')];
  for (let at = path; at !== '/'; ) {
    at = posix.dirname(at);
    folders.push(posix.join(mount, at).replace(/\/$/, ''));
  }
  return folders;
}

/** As mountinfo writes spaces and the like: a backslash and three octal digits. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

const lines = (text: string | null): string[] => (text ?? '').split('\n').filter((line) => line !== '');

/** Lines of a name, a colon perhaps, and a number. */
function fields(text: string | null): Map<string, number> {
  return new Map(
    lines(text).flatMap((line) => {
      const [, name, value] = /^(\w+):?\s+(\d+)/.exec(line) ?? [];
      return name === undefined ? [] : [[name, Number(value)]];
    }),
  );
}

/** A file of the kernel that cannot be read tells nothing: the group may be gone, or the platform have none. */
function readSystem(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
