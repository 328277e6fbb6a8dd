import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { Command, CommanderError } from 'commander';
import { cleanHome } from '../../daemon/device-home.ts';
import { toStarlingError } from '../../daemon/errors.ts';
import { homePaths, packageRoot } from '../../daemon/paths.ts';
import { INTERRUPTED } from './end-request.ts';
import { cleanThrowAwayHomes } from './throw-away-home.ts';

/** Commands that stop what they started when they are told to end. */
const ORDERLY: ReadonlySet<string> = new Set(['demo', 'run', 'daemon', 'serve', 'plan']);

/** Exit code of a command line that cannot be understood. */
const USAGE = 2;

/** What a command has around it: that of a process. */
export interface CommandSurroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable;
  /** Commands that start something end in order when it is aborted. */
  readonly ending: AbortController;
  /** Calls `end` for a signal to this process. */
  readonly onEndRequest: (end: () => void) => void;
  /** Tells the process that started this one, where there is a channel to it. */
  readonly tellParent: (message: object) => void;
}

/**
 * Does what a command line says.
 * @param args what comes after the name of the program
 * @returns the exit code
 */
export async function starling(args: readonly string[], around: CommandSurroundings): Promise<number> {
  const { ending, stderr } = around;
  try {
    await (await commandLine(args[0], around)).parseAsync(args, { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : USAGE;
    const error = toStarlingError(thrown);
    if (ending.signal.aborted) return INTERRUPTED;
    stderr.write(`starling: ${error.message} [${error.code}]\n`);
    if (error.code === 'internal' && error.cause instanceof Error) stderr.write(`${error.cause.stack}\n`);
    return error.kind.exit;
  }
}

/** @param first the command, which is then loaded alone, as loading all takes longer than most of them do */
async function commandLine(first: string | undefined, around: CommandSurroundings): Promise<Command> {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  const program = new Command('starling')
    .description('Makes the small computers of a home into one machine that serves a large language model.')
    .version(version)
    .addHelpText(
      'after',
      '\nExamples:\n  $ starling demo\n  $ starling daemon                 on each device\n  $ starling serve model.gguf       on any of them',
    );
  const commands = commandsOf(version, around);
  const wanted = commands.find(([name]) => name === first);
  const loaded = wanted !== undefined ? [wanted] : first === '--version' || first === '-V' ? [] : commands;
  for (const [, load] of loaded) program.addCommand(await load());
  const output = {
    writeOut: (text: string) => void around.stdout.write(text),
    writeErr: (text: string) => void around.stderr.write(text),
  };
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    command.exitOverride().configureOutput(output).showHelpAfterError('(add --help for help)');
  }
  // The others have nothing to put in order, and end as the system ends them.
  program.hook('preAction', async (_program, command) => {
    if (ORDERLY.has(command.name())) around.onEndRequest(() => around.ending.abort());
    // What cannot be removed stays: a command that cannot do without the folder says so itself.
    const { env } = around;
    await Promise.allSettled([cleanThrowAwayHomes(tmpdir(), env.STARLING_HOME), cleanHome(homePaths(env))]);
  });
  return program;
}

/** How each command is loaded, in the order of the help. */
function commandsOf(
  version: string,
  { env, stdin, stdout: output, stderr: errors, ending: { signal }, tellParent }: CommandSurroundings,
): readonly (readonly [name: string, load: () => Promise<Command>])[] {
  const paths = homePaths(env);
  const isTerminal = output.isTTY === true;
  const stdout = (text: string): void => void output.write(text);
  const stderr = (text: string): void => void errors.write(text);
  return [
    ['demo', async () => (await import('./demo-command.ts')).demoCommand({ paths, version, stdout, signal })],
    ['run', async () => (await import('./run-command.ts')).runCommand({ paths, stdin, stdout, isTerminal, signal })],
    [
      'daemon',
      async () => (await import('./daemon-command.ts')).daemonCommand({ paths, version, stdout, signal, tellParent }),
    ],
    ['serve', async () => (await import('./serve-command.ts')).serveCommand({ paths, version, stdout, signal })],
    [
      'plan',
      async () => (await import('./plan-command.ts')).planCommand({ paths, version, stdout, isTerminal, signal }),
    ],
    ['chat', async () => (await import('./chat-command.ts')).chatCommand({ stdin, stdout: output, stderr })],
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
