import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { StarlingError } from '../../daemon/errors.ts';
import { defaultThreads, physicalCores } from '../../daemon/hardware.ts';
import { LOG_LEVELS, type LogLevel } from '../../daemon/log.ts';
import { packageRoot } from '../../daemon/paths.ts';
import { BACKENDS, backendAvailable, bestBackend } from '../../kernels/create-kernels.ts';
import { KV_FORMAT_NAMES, type KvFormat } from '../../kernels/formats.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import type { Endpoint } from '../cluster/find-devices.ts';

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

/** "host:port" or "host", collected over repeated options; IPv6 addresses in brackets. */
export function endpoints(text: string, previous: Endpoint[] = []): Endpoint[] {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? DEFAULT_DEVICE_PORT);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new InvalidArgumentError('host:port is expected, for example 192.168.1.20:7828 or [fd00::1]:7828.');
  }
  return [...previous, { host, port }];
}

export interface ComputeOptions {
  readonly backend?: BackendName;
  readonly threads?: number;
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

export const logLevelOption = (level: LogLevel): Option =>
  new Option('--log-level <level>', 'what to log, to stderr')
    .choices([...LOG_LEVELS])
    .default(level)
    .env('STARLING_LOG');

/** @throws StarlingError backend_unavailable */
export async function resolveCompute(options: ComputeOptions): Promise<{ backend: BackendName; threads: number }> {
  const backend = options.backend ?? bestBackend();
  if (!backendAvailable(backend)) {
    throw new StarlingError(
      'backend_unavailable',
      backend === 'native'
        ? 'the native kernels are not built on this machine: install a C compiler and make, run "npm run build", or use --backend wasm'
        : `the ${backend} kernels are not built: run "npm run build"`,
    );
  }
  return { backend, threads: options.threads ?? defaultThreads(await physicalCores()) };
}

/** Names that stand for the model that comes with Starling. */
export const EMBEDDED_MODEL = 'tiny-chat';

/** The path of a model given by path or as "tiny-chat". @throws StarlingError model_file_not_found */
export async function resolveModel(model: string): Promise<string> {
  const found = await stat(model).catch(() => null);
  if (found?.isFile()) return model;
  if (model === EMBEDDED_MODEL) return join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf');
  const what = found?.isDirectory() ? 'is a folder' : 'does not exist';
  throw new StarlingError(
    'model_file_not_found',
    `${model} ${what}: give the path of a .gguf file, or "${EMBEDDED_MODEL}" for the small model that comes with Starling`,
  );
}
