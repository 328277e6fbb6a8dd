import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../daemon/paths.ts';

/** A program that a bench compiled for itself. */
export interface CompiledProgram {
  readonly path: string;
  /** Removes it. */
  remove(): Promise<void>;
}

const LONGEST_MS = 60_000;

/**
 * Compiles a C program of this folder into a temporary one, with the compiler that CC names or `cc`.
 * @param name of the source without its ending
 * @throws Error what the compiler says, or that there is none
 */
export async function compileC(name: string, flags: readonly string[] = []): Promise<CompiledProgram> {
  const folder = await mkdtemp(join(tmpdir(), `starling-${name}-`));
  const path = join(folder, name);
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const source = join(packageRoot(), `scripts/${name}.c`);
  try {
    await promisify(execFile)(process.env.CC || 'cc', [...flags, source, '-o', path], { timeout: LONGEST_MS });
    return { path, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
