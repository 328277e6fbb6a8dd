import { spawnSync } from 'node:child_process';

/** Why tests are skipped of what is written in C for Linux; false where it can be compiled and run. */
export const withoutC: string | false =
  process.platform !== 'linux'
    ? 'not on this system'
    : spawnSync(process.env.CC || 'cc', ['--version']).status !== 0 && 'no C compiler';
