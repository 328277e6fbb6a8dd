import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { StarlingError } from '../daemon/errors.ts';
import { packageRoot } from '../daemon/paths.ts';
import { type DecodeTask, type DecodeTimes, runChild, type WarmedTask } from './bench-child.ts';
import { benchFolder } from './bench-model.ts';

export interface PeerTimes extends DecodeTimes {
  /** llama.cpp's own, for example "b9999". */
  readonly release: string;
  /** What it says that it uses, for example "AVX2, F16C". */
  readonly instruction_sets: string;
}

/** node-llama-cpp; with it comes llama.cpp, built for each kind of processor that it may meet. */
export const PEER_VERSION = '3.22.1';

/** The packages that hold llama.cpp for processors, without a GPU. */
const BINARIES: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'linux-arm': 'linux-armv7l',
  'linux-riscv64': 'linux-riscv64',
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64',
};

/** Builds of llama.cpp that use no more than one of our instruction sets, by the ends of their files' names. */
const BUILDS_WITHIN: Readonly<Record<string, readonly string[]>> = {
  avx2: ['x64', 'sse42', 'sandybridge', 'ivybridge', 'piledriver', 'haswell'],
  baseline: ['x64'],
};

/**
 * The installed peer with those builds only that use no more than `isa`: a copy without the others, made on first use.
 * @param folder where it is installed
 * @returns the copy's folder; the same one where nothing is beyond
 * @throws StarlingError backend_unavailable where it is not known which builds those are
 */
export async function peerWithin(folder: string, isa: string): Promise<string> {
  // The most that there are builds for.
  if (isa === 'avx512vnni') return folder;
  const builds = BUILDS_WITHIN[isa];
  if (process.arch !== 'x64' || builds === undefined) {
    throw new StarlingError(
      'backend_unavailable',
      `no builds of llama.cpp are known for ${isa}: leave --isa or --peer out`,
    );
  }
  const copy = `${folder}-${isa}`;
  if (await isWhole(copy)) return copy;
  await cp(folder, copy, {
    recursive: true,
    filter: (path) => {
      const build = /ggml-cpu-(\w+)\.\w+$/.exec(path)?.[1];
      return basename(path) !== INSTALLED && (build === undefined || builds.includes(build));
    },
  });
  await writeFile(join(copy, INSTALLED), '');
  return copy;
}

/** An empty file in a folder that is complete. */
const INSTALLED = 'installed';

const isWhole = async (folder: string): Promise<boolean> =>
  (await stat(join(folder, INSTALLED)).catch(() => null)) !== null;

/**
 * Installs node-llama-cpp into a folder of its own, on first use.
 * @returns the folder
 * @throws StarlingError backend_unavailable when it cannot be had
 */
export async function installPeer(): Promise<string> {
  const machine = `${process.platform}-${process.arch}`;
  const binary = BINARIES[machine];
  if (binary === undefined) {
    throw new StarlingError('backend_unavailable', `node-llama-cpp has no llama.cpp for ${machine}: leave --peer out`);
  }
  const folder = join(benchFolder(), `node-llama-cpp-${PEER_VERSION}`);
  if (await isWhole(folder)) return folder;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), '{"private": true}\n');
  const packages = [`node-llama-cpp@${PEER_VERSION}`, `@node-llama-cpp/${binary}@${PEER_VERSION}`];
  process.stderr.write(`installing ${packages.join(' and ')} into ${folder}\n`);
  // The optional packages are builds for GPUs, hundreds of MB; the install script would build llama.cpp where none
  // fits.
  const args = ['install', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', ...packages];
  const npm = spawn('npm', args, { cwd: folder, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  const [code] = await once(npm, 'exit').catch((error: Error) => [error.message]);
  if (code !== 0) {
    throw new StarlingError(
      'backend_unavailable',
      `npm could not install node-llama-cpp (${code}): see above, or leave --peer out`,
    );
  }
  await writeFile(join(folder, INSTALLED), '');
  return folder;
}

/** One run of llama.cpp on the task. */
export function runPeer(folder: string, task: WarmedTask): Promise<PeerTimes> {
  return runChild<PeerTimes>(join(packageRoot(), 'scripts/bench-peer.mjs'), { ...task, folder } as DecodeTask);
}
