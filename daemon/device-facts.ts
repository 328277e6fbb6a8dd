import { arch, availableParallelism, platform } from 'node:os';
import type { BackendName } from '../kernels/kernels.ts';
import type { Identity } from './identity.ts';
import type { Use } from './loan.ts';
import type { ProcessMemory } from './process-memory.ts';
import type { Control } from './protocol/control.ts';

export interface DeviceFactsOptions {
  readonly identity: Identity;
  readonly backend: BackendName;
  readonly threads: number;
  readonly memory: ProcessMemory;
  /** Of Starling. */
  readonly version: string;
}

/**
 * What a device says of itself.
 * @param run of its daemon's process
 * @param use what it is used for; null when it is free
 */
export function deviceFacts(
  { identity, backend, threads, memory, version }: DeviceFactsOptions,
  run: string,
  use: Use | null,
): Omit<Control<'welcome'>, 't' | 'protocol'> {
  return {
    version,
    id: identity.id,
    name: identity.name,
    run,
    platform: platform(),
    arch: arch(),
    cores: availableParallelism(),
    memoryBytes: memory.budget(),
    backend,
    threads,
    busy: use !== null,
    serving: use?.serving ?? null,
  };
}
