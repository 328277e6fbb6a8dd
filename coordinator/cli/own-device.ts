import type { ClusterKey } from '../../daemon/cluster-key.ts';
import type { Identity } from '../../daemon/identity.ts';
import type { Logger } from '../../daemon/log.ts';
import type { HomePaths } from '../../daemon/paths.ts';
import { type ProcessMemory, processMemory } from '../../daemon/process-memory.ts';
import { readRunFile } from '../../daemon/run-file.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import { RENDER_PROCESS_BYTES } from '../model/template/render-process.ts';
import { type ComputeOptions, resolveCompute } from './options.ts';
import { type Borrowed, OwnDaemon } from './own-daemon.ts';

/** The device that a command runs on, as far as the command may use it. */
export interface OwnDevice {
  readonly backend: BackendName;
  readonly threads: number;
  readonly memory: ProcessMemory;
  readonly storeDir: string;
  /** Most bytes of all models in it. */
  readonly storeLimit?: number;
  /** Whether it computes a share of the layers, besides the head. */
  readonly ownShare: boolean;
  /** The process of its daemon, if one runs. */
  readonly daemonRun?: string | undefined;
  /** Gives it back to its daemon. */
  readonly release: () => void;
}

/** What was said to a command about its device. */
export interface AskedDevice extends ComputeOptions {
  readonly storeLimit?: number;
}

export interface TakeOwnDeviceOptions {
  readonly paths: HomePaths;
  readonly asked: AskedDevice;
  readonly identity: Identity;
  readonly key: ClusterKey;
  /** What is computed with it. */
  readonly modelName: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Takes the device for this process: from its daemon where one runs.
 * @throws StarlingError backend_unavailable, or cancelled by the signal
 */
export async function takeOwnDevice({ paths, asked, ...rest }: TakeOwnDeviceOptions): Promise<OwnDevice> {
  const { daemon, borrowed } = await OwnDaemon.borrow({ ...rest, runFile: paths.runFile });
  try {
    const { memory, storeDir, storeLimit, ownShare, ...compute } = settle(asked, borrowed);
    return {
      ...(await resolveCompute({ ...compute, logLevel: asked.logLevel })),
      memory: processMemory(memory, RENDER_PROCESS_BYTES),
      storeDir: storeDir ?? paths.storeDir,
      ...(storeLimit === undefined ? {} : { storeLimit }),
      ownShare,
      daemonRun: (await readRunFile(paths.runFile))?.run,
      release: () => daemon.close(),
    };
  } catch (error) {
    daemon.close();
    throw error;
  }
}

/** What a command does with its device; what is not set is as by default. */
export interface SettledDevice extends Pick<AskedDevice, 'backend' | 'threads' | 'memory' | 'storeLimit'> {
  readonly storeDir?: string;
  readonly ownShare: boolean;
}

/**
 * How a command uses its device: as it was told itself, and else as the daemon was told that lends it, less the memory
 * that the daemon keeps. A device that another coordinator uses gives no share, as its memory would be given away
 * twice.
 */
export function settle(asked: AskedDevice, borrowed: Borrowed): SettledDevice {
  const { backend, threads, memory, storeLimit } = asked;
  const own = defined({ backend, threads, memory, storeLimit });
  if (borrowed.state !== 'lent' || borrowed.told === undefined) return { ...own, ownShare: borrowed.state !== 'busy' };
  const { told, residentBytes } = borrowed;
  const left = told.memory === undefined ? undefined : Math.max(1, told.memory - residentBytes);
  return { ...defined({ ...told, memory: left }), ...own, ownShare: true };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The fields that have a value. */
function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
