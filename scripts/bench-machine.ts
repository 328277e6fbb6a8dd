import { cpus } from 'node:os';
import { InvalidArgumentError, Option } from 'commander';
import type { BackendName } from '../kernels/kernels.ts';
import { ISA_VARIABLE, nativeTargets } from '../kernels/native.ts';

/** What every report says of where it was made. */
export interface BenchMachine {
  readonly machine: string;
  /** Of the native kernels; null where none compute. */
  readonly instruction_set: string | null;
}

export function benchMachine(backend: BackendName = 'native'): BenchMachine {
  return {
    machine: cpus()[0]?.model ?? 'unknown',
    instruction_set: backend === 'native' ? (nativeTargets()[0] ?? null) : null,
  };
}

/** A report's first line. */
export const machineLine = ({ machine, instruction_set }: BenchMachine): string =>
  `${machine}, ${instruction_set ?? 'no native kernels'}`;

/**
 * `--isa <set>`: the native kernels of this process, its threads and its children use no more than that, from when it
 * is parsed on. So that a machine can measure what others have.
 */
export function isaOption(): Option {
  const own = nativeTargets();
  return new Option('--isa <set>', `use no more than this: ${own.join(', ')} (default: the first)`).argParser((set) => {
    if (!own.includes(set)) throw new InvalidArgumentError(`one of ${own.join(', ')} is expected.`);
    process.env[ISA_VARIABLE] = set;
    return set;
  });
}
