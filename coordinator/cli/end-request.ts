import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';

/**
 * What asks a command to end in order: Ctrl-C, a supervisor, a terminal that is closed (on Windows, SIGBREAK and
 * SIGHUP). A closed terminal may send its signal twice, to the job and to the process group.
 */
const SIGNALS: readonly NodeJS.Signals[] =
  process.platform === 'win32' ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** As a shell reports a process that SIGINT ended. */
export const INTERRUPTED = 128 + constants.signals.SIGINT;

/** Calls `end` for what asks a command to end; Ctrl-C after that ends the process at once. */
export function onEndRequest(end: () => void): void {
  let asked = false;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (asked && signal === 'SIGINT') process.exit(INTERRUPTED);
      asked = true;
      end();
    });
  }
}

/** Calls `end` when the process that started this one with an IPC channel is gone, or was so before this is called. */
export function onParentGone(end: () => void): void {
  if (process.send === undefined) return;
  if (process.connected) process.once('disconnect', end);
  else end();
}

/**
 * Notes which terminals this process has.
 * @returns closes those that are gone, to be called at the end: Node would abort, with a core dump, as it cannot set
 * back the modes of such a terminal
 */
export function watchTerminals(): () => void {
  const terminals = [0, 1, 2].filter((stream) => isatty(stream));
  return () => {
    for (const gone of terminals.filter((stream) => !isatty(stream))) closeSync(gone);
  };
}
