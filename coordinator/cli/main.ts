#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { cleanHome } from '../../daemon/device-home.ts';
import { toStarlingError } from '../../daemon/errors.ts';
import { homePaths, packageRoot } from '../../daemon/paths.ts';
import { chatCommand } from './chat-command.ts';
import { daemonCommand } from './daemon-command.ts';
import { demoCommand } from './demo-command.ts';
import { devicesCommand } from './devices-command.ts';
import { INTERRUPTED, onEndRequest, onParentGone, watchTerminals } from './end-request.ts';
import { keyCommand } from './key-command.ts';
import { runCommand } from './run-command.ts';
import { serveCommand } from './serve-command.ts';
import { storeCommand } from './store-command.ts';
import { cleanThrowAwayHomes } from './throw-away-home.ts';

/** Commands that stop what they started when they are told to end. */
const ORDERLY: ReadonlySet<string> = new Set(['demo', 'run', 'daemon', 'serve']);

/** Exit code of a command line that cannot be understood. */
const USAGE = 2;

async function main(argv: readonly string[]): Promise<number> {
  const ending = new AbortController();
  const end = (): void => ending.abort();
  // A daemon of a throw-away cluster ends with the process that started it.
  onParentGone(end);
  // A reader that has seen enough, such as "head", closes the pipe.
  process.stdout.on('error', end);
  process.stderr.on('error', () => {});
  if (ending.signal.aborted) return INTERRUPTED;
  try {
    await starling(ending).parseAsync(argv);
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : USAGE;
    const error = toStarlingError(thrown);
    if (ending.signal.aborted) return INTERRUPTED;
    stderr(`starling: ${error.message} [${error.code}]\n`);
    if (error.code === 'internal' && error.cause instanceof Error) stderr(`${error.cause.stack}\n`);
    return error.kind.exit;
  }
}

/** The command line. Commands that start something end in order when `ending` is aborted. */
function starling(ending: AbortController): Command {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  const paths = homePaths(process.env);
  const { signal } = ending;
  const program = new Command('starling')
    .description('Makes the small computers of a home into one machine that serves a large language model.')
    .version(version)
    .addHelpText(
      'after',
      '\nExamples:\n  $ starling demo\n  $ starling daemon                 on each device\n  $ starling serve model.gguf       on any of them',
    );
  program.addCommand(demoCommand({ paths, stdout, signal }));
  program.addCommand(runCommand({ paths, stdin: process.stdin, stdout, signal }));
  program.addCommand(daemonCommand({ paths, version, stdout, signal, tellParent }));
  program.addCommand(serveCommand({ paths, stdout, signal }));
  program.addCommand(chatCommand({ stdin: process.stdin, stdout: process.stdout, stderr }));
  program.addCommand(devicesCommand({ paths, stdout }));
  program.addCommand(
    storeCommand({
      get storeDir() {
        return paths.storeDir;
      },
      stdout,
      stderr,
    }),
  );
  program.addCommand(
    keyCommand({
      get keyFile() {
        return paths.keyFile;
      },
      stdin: process.stdin,
      stdout,
      stderr,
    }),
  );
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    command.exitOverride().showHelpAfterError('(add --help for help)');
  }
  // The others have nothing to put in order, and end as the system ends them.
  program.hook('preAction', async (_program, command) => {
    if (ORDERLY.has(command.name())) onEndRequest(() => ending.abort());
    // What cannot be removed stays: a command that cannot do without the folder says so itself.
    await Promise.allSettled([cleanThrowAwayHomes(tmpdir(), process.env.STARLING_HOME), cleanHome(paths)]);
  });
  return program;
}

/** A parent that is gone ends this process by closing the channel. */
const tellParent = (message: object): void => void process.send?.(message, () => {});
const stdout = (text: string): void => void process.stdout.write(text);
const stderr = (text: string): void => void process.stderr.write(text);

const closeLostTerminals = watchTerminals();
process.exitCode = await main(process.argv);
// The IPC channel of a child would keep it alive.
if (process.connected) process.disconnect();
closeLostTerminals();
