import { readdir, readFile } from 'node:fs/promises';

/** Between looks. */
const SAMPLE_MS = 50;

export interface MemoryWatch {
  /** The most bytes so far: of each process the larger of the kernel's own mark (VmHWM) and what was seen (VmRSS). */
  peak(): Promise<number>;
  stop(): void;
}

/**
 * Looks at the resident memory of a process and all its descendants, from outside, until stopped. Linux only: reads
 * /proc.
 */
export function watchMemory(pid: number): MemoryWatch {
  const most = new Map<number, number>();
  const look = async (): Promise<void> => {
    for (const each of await tree(pid)) {
      // A process may have ended.
      const status = await readFile(`/proc/${each}/status`, 'utf8').catch(() => '');
      for (const [, kib] of status.matchAll(/^Vm(?:HWM|RSS):\s+(\d+) kB$/gm)) {
        most.set(each, Math.max(most.get(each) ?? 0, Number(kib) * 1024));
      }
    }
  };
  const timer = setInterval(() => void look(), SAMPLE_MS);
  return {
    peak: async () => {
      await look();
      return [...most.values()].reduce((sum, bytes) => sum + bytes, 0);
    },
    stop: () => clearInterval(timer),
  };
}

async function tree(pid: number): Promise<number[]> {
  const children: number[] = [];
  for (const thread of await readdir(`/proc/${pid}/task`).catch(() => [])) {
    const text = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '');
    children.push(...text.split(' ').filter(Boolean).map(Number));
  }
  return [pid, ...(await Promise.all(children.map(tree))).flat()];
}
