#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { cleanHome } from '../../daemon/device-home.ts';
import { toStarlingError } from '../../daemon/errors.ts';
import { type HomePaths, homePaths, packageRoot } from '../../daemon/paths.ts';
import { INTERRUPTED, onEndRequest, onParentGone, watchTerminals } from './end-request.ts';
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
    await (await starling(ending, argv[2])).parseAsync(argv);
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

/**
 * The command line. Commands that start something end in order when `ending` is aborted.
 * @param first what comes after the name of the program: a command is then loaded alone, as loading all takes longer than most
 * of them do
 */
async function starling(ending: AbortController, first: string | undefined): Promise<Command> {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  const paths = homePaths(process.env);
  const program = new Command('starling')
    .description('Makes the small computers of a home into one machine that serves a large language model.')
    .version(version)
    .addHelpText(
      'after',
      '\nExamples:\n  $ starling demo\n  $ starling daemon                 on each device\n  $ starling serve model.gguf       on any of them',
    );
  const commands = commandsOf(paths, version, ending.signal);
  const wanted = commands.find(([name]) => name === first);
  const loaded = wanted !== undefined ? [wanted] : first === '--version' || first === '-V' ? [] : commands;
  for (const [, load] of loaded) program.addCommand(await load());
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

/** How each command is loaded, in the order of the help. */
function commandsOf(
  paths: HomePaths,
  version: string,
  signal: AbortSignal,
): readonly (readonly [name: string, load: () => Promise<Command>])[] {
  const { stdin } = process;
  const isTerminal = process.stdout.isTTY === true;
  return [
    ['demo', async () => (await import('./demo-command.ts')).demoCommand({ paths, version, stdout, signal })],
    ['run', async () => (await import('./run-command.ts')).runCommand({ paths, stdin, stdout, isTerminal, signal })],
    [
      'daemon',
      async () => (await import('./daemon-command.ts')).daemonCommand({ paths, version, stdout, signal, tellParent }),
    ],
    ['serve', async () => (await import('./serve-command.ts')).serveCommand({ paths, version, stdout, signal })],
    ['chat', async () => (await import('./chat-command.ts')).chatCommand({ stdin, stdout: process.stdout, stderr })],
    ['devices', async () => (await import('./devices-command.ts')).devicesCommand({ paths, stdout })],
    [
      'store',
      async () =>
        (await import('./store-command.ts')).storeCommand({
          get storeDir() {
            return paths.storeDir;
          },
          stdout,
          stderr,
        }),
    ],
    [
      'key',
      async () =>
        (await import('./key-command.ts')).keyCommand({
          get keyFile() {
            return paths.keyFile;
          },
          stdin,
          stdout,
          stderr,
        }),
    ],
  ];
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
