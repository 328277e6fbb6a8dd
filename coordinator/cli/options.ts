import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { StarlingError } from '../../daemon/errors.ts';
import { defaultThreads, physicalCores } from '../../daemon/hardware.ts';
import { LOG_LEVELS, type LogLevel } from '../../daemon/log.ts';
import { packageRoot } from '../../daemon/paths.ts';
import { defaultMemory } from '../../daemon/process-memory.ts';
import type { TileStoreOptions } from '../../daemon/store/tile-store.ts';
import { BACKENDS, backendAvailable, bestBackend } from '../../kernels/create-kernels.ts';
import { KV_FORMAT_NAMES, type KvFormat } from '../../kernels/formats.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import type { DevicesWish } from '../cluster/choose-devices.ts';
import type { Endpoint } from '../cluster/find-devices.ts';
import { HEAD_WISHES, type HeadWish } from '../cluster/planner/roles.ts';
import { ModelFile } from '../model/gguf/model-file.ts';
import { parseHost } from './endpoint.ts';

/** Where a daemon listens unless told otherwise. */
export const DEFAULT_DEVICE_PORT = 7828;

/** A whole number within bounds, for an option or argument. */
export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`a whole number from ${least} to ${most} is expected.`);
    }
    return value;
  };
}

/** A decimal number within bounds. */
export function decimal(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= least && value <= most)) {
      throw new InvalidArgumentError(`a number from ${least} to ${most} is expected.`);
    }
    return value;
  };
}

/** Hosts and ports of devices as parseHost reads them, collected over repeated options. */
export function endpoints(text: string, previous: Endpoint[] = []): Endpoint[] {
  const { host, port = DEFAULT_DEVICE_PORT } = parseHost(text);
  return [...previous, { host, port }];
}

/** Bytes of a size such as "1600MB", "2GB", "1.5GiB" or plain bytes, within bounds. */
export function size(least: number, most: number): (text: string) => number {
  return (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*(B|[kMGT]i?B)?$/.exec(text);
    const bytes = Math.floor(Number(match?.[1]) * (UNITS[match?.[2] ?? 'B'] ?? Number.NaN));
    if (!(bytes >= least && bytes <= most)) {
      throw new InvalidArgumentError('a size such as 1600MB, 2GB or 1.5GiB is expected, and one that makes sense.');
    }
    return bytes;
  };
}

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  kiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Bytes of memory of a device: from what no process gets by with, to what no home computer has. */
const memorySize = size(1e6, 1e14);

/** `--store`; without a default of commander's, as that would be worked out for commands that need none. */
export const storeOption = (what: string): Option =>
  new Option('--store <folder>', `${what} (default: "tiles" in the folder of Starling, which STARLING_HOME names)`);

/** `--store-limit`, of commands that keep tiles. */
export const storeLimitOption = (): Option =>
  new Option(
    '--store-limit <size>',
    'most disk space for tiles, such as 50GB: models used least recently are removed (default: none)',
  ).argParser(size(1e6, 1e16));

export const storeOptions = ({ storeLimit }: { readonly storeLimit?: number }): TileStoreOptions =>
  storeLimit === undefined ? {} : { limitBytes: storeLimit };

export interface ComputeOptions {
  readonly backend?: BackendName;
  readonly threads?: number;
  /** Bytes. */
  readonly memory?: number;
  readonly logLevel: LogLevel;
}

/** Options of every command that computes. */
export function addComputeOptions(command: Command, logLevel: LogLevel = 'info'): Command {
  return command
    .addOption(new Option('--backend <name>', 'how to compute (default: the fastest here)').choices([...BACKENDS]))
    .option(
      '--threads <n>',
      'compute threads (default: physical cores, one less when there are more than four)',
      integer(1, 256),
    )
    .option(
      '--memory <size>',
      'most memory of each device, such as 2GB, all included (default: three quarters of what is free)',
      memorySize,
    )
    .addOption(logLevelOption(logLevel));
}

/** Of every command that starts a cluster. */
export interface KvOptions {
  readonly kv: KvFormat;
}

export const kvOption = (): Option =>
  new Option(
    '--kv <format>',
    'cache of keys and values: f16, or q8, which takes about half the memory and gives other bits',
  )
    .choices(KV_FORMAT_NAMES)
    .default('f16');

export interface HeadOptions {
  readonly head: HeadWish;
}

export const headOption = (): Option =>
  new Option(
    '--head <where>',
    'where logits are computed: shared by all devices, local by this computer alone, so that no device sees any, or auto, whichever is faster',
  )
    .choices(HEAD_WISHES)
    .default('auto');

/** Of every command that plans. */
export interface PlanOptions {
  readonly devices: DevicesWish;
  readonly users?: number;
}

export const devicesOption = (): Option =>
  new Option(
    '--devices <which>',
    'who computes: auto for whoever makes it fastest, all for every device that is found, or names of devices, such as kitchen,attic',
  )
    .argParser(devicesWish)
    .default('auto');

export const usersOption = (): Option =>
  new Option(
    '--users <n>',
    'how many are answered at a time when it has to be fast, with a conversation of full length each (default: 1, and 8 conversations where memory allows)',
  ).argParser(integer(1, 64));

/** @throws InvalidArgumentError */
function devicesWish(text: string): DevicesWish {
  if (text === 'auto' || text === 'all') return text;
  const names = text.split(',').map((name) => name.trim());
  if (names.every((name) => name.length > 0)) return names;
  throw new InvalidArgumentError('auto, all, or names of devices with commas between them are expected.');
}

/** The memory of each of `devices` on this machine, in bytes. */
export const resolveMemory = ({ memory }: ComputeOptions, devices = 1): number =>
  memory ?? Math.floor(defaultMemory() / devices);

export const draftOption = (): Option =>
  new Option(
    '--draft <model>',
    'a small model of the same vocabulary, computed here, that guesses what the model will say; the text stays the same',
  );

export function logLevelOption(level: LogLevel): Option {
  const option = new Option('--log-level <level>', 'what to log, to stderr').choices([...LOG_LEVELS]).default(level);
  // A variable that is empty is one that is not set: so containers are told of none.
  return process.env.STARLING_LOG === '' ? option : option.env('STARLING_LOG');
}

/** @throws StarlingError backend_unavailable */
export async function resolveCompute(options: ComputeOptions): Promise<{ backend: BackendName; threads: number }> {
  const backend = options.backend ?? availableNow(bestBackend);
  if (!availableNow(() => backendAvailable(backend))) {
    throw new StarlingError(
      'backend_unavailable',
      backend === 'native'
        ? 'the native kernels are not built on this machine: install a C compiler and make, run "npm run build", or use --backend wasm'
        : `the ${backend} kernels are not built: run "npm run build"`,
    );
  }
  return { backend, threads: options.threads ?? defaultThreads(await physicalCores()) };
}

/**
 * What `look` finds of backends.
 * @throws StarlingError backend_unavailable where the environment names an instruction set that is not here
 */
function availableNow<T>(look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw error instanceof RangeError ? new StarlingError('backend_unavailable', error.message) : error;
  }
}

/** Names that stand for the model that comes with Starling. */
export const EMBEDDED_MODEL = 'tiny-chat';

/**
 * The path of a model given by path or as "tiny-chat".
 * @throws StarlingError model_file_not_found, or model_file_unreadable for what is there but is no file
 */
export async function resolveModel(model: string): Promise<string> {
  try {
    await (await ModelFile.open(model)).close();
    return model;
  } catch (error) {
    if (model === EMBEDDED_MODEL) return join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf');
    if (!(error instanceof StarlingError) || error.code !== 'model_file_not_found') throw error;
    throw new StarlingError(
      'model_file_not_found',
      `${model} does not exist: give the path of a .gguf file, or "${EMBEDDED_MODEL}" for the small model that comes with Starling`,
    );
  }
}
