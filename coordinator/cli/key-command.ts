import { Command } from 'commander';
import { ClusterKey, createKey, importKey, loadKey } from '../../daemon/cluster-key.ts';
import { StarlingError } from '../../daemon/errors.ts';

export interface KeyCommandDeps {
  /** Read only by actions: the home may be unknown. */
  readonly keyFile: string;
  /** Read for `import -`. */
  readonly stdin: AsyncIterable<string | Uint8Array>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

const LONGEST_INPUT = 4096;

/**
 * `starling key new|show|import`. Actions throw StarlingError: no_key, key_invalid, invalid_argument (a key would be
 * overwritten), store_failed.
 */
export function keyCommand(deps: KeyCommandDeps): Command {
  const { stdin, stdout, stderr } = deps;
  const command = new Command('key').description('make, show or bring in the key that joins devices into one cluster');
  command.addHelpText(
    'after',
    `
Devices with the same key work together; nobody without it can connect.

Examples:
  $ starling key new                    on the first device
  $ starling key show                   prints the key, to copy it
  $ starling key import starling-key-…  on every other device
  $ ssh pi starling key show | starling key import -`,
  );

  command
    .command('new')
    .description('make a new key and store it on this device')
    .option('--force', 'replace the key that is there; this device leaves its cluster')
    .addHelpText('after', '\nExamples:\n  $ starling key new\n  $ starling key new --force')
    .action(async (options: { force?: boolean }) => {
      const key = await createKey(deps.keyFile, options.force ?? false);
      stderr(`made cluster key ${key.keyId} (${deps.keyFile}); "starling key show" prints it for your other devices\n`);
      if (options.force) stderr(RESTART);
    });

  command
    .command('show')
    .description('print the key; whoever has it can use your devices')
    .addHelpText(
      'after',
      '\nExamples:\n  $ starling key show\n  $ starling key show 2>/dev/null | ssh pi starling key import -',
    )
    .action(async () => {
      const key = await loadKey(deps.keyFile);
      stderr(`cluster key ${key.keyId}; keep it secret\n`);
      stdout(`${key.toText()}\n`);
    });

  command
    .command('import')
    .description('store the key of a cluster on this device')
    .argument('<key>', 'what "starling key show" prints on another device; - reads it from standard input')
    .option('--force', 'replace the key that is there; this device leaves its cluster')
    .addHelpText('after', '\nExamples:\n  $ starling key import starling-key-…\n  $ starling key import - < key.txt')
    .action(async (text: string, options: { force?: boolean }) => {
      const key = ClusterKey.parse(text === '-' ? await readAll(stdin) : text);
      await importKey(deps.keyFile, key, options.force ?? false);
      stderr(`this device belongs to cluster ${key.keyId} (${deps.keyFile})\n`);
      if (options.force) stderr(RESTART);
    });

  return command;
}

const RESTART = 'a daemon that runs on this device has the old key still: stop it and start it again\n';

async function readAll(stdin: AsyncIterable<string | Uint8Array>): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stdin) {
    const bytes = Buffer.from(piece);
    length += bytes.length;
    if (length > LONGEST_INPUT)
      throw new StarlingError('key_invalid', 'standard input is too long to be a cluster key');
    pieces.push(bytes);
  }
  return Buffer.concat(pieces).toString('utf8');
}
