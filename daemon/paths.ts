import { existsSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, join, posix, win32 } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StarlingError } from './errors.ts';

/** Where Starling keeps what is its own on this machine. */
export interface HomePaths {
  readonly home: string;
  /** The cluster key, readable by its owner only. */
  readonly keyFile: string;
  /** The id of this device. */
  readonly identityFile: string;
  /** What a running daemon says about itself: process id and port. */
  readonly runFile: string;
  /** What was found in model files, so that those that have not changed are not read through again. */
  readonly contentsFile: string;
  /** What this device was measured to do. */
  readonly profileFile: string;
  /** Batches, their files and results. */
  readonly batchesDir: string;
  /** Tiles, a folder a model. */
  readonly storeDir: string;
}

/**
 * The paths under STARLING_HOME, or else under the platform's folder for data of an application:
 * $XDG_DATA_HOME/starling or ~/.local/share/starling, ~/Library/Application Support/starling on macOS,
 * %LOCALAPPDATA%\starling on Windows. Creates nothing. Each is found out when it is read, as a user may have no home
 * and need none.
 * @param userHome default: what the system says
 * @throws StarlingError invalid_argument, when one is read, if it takes a home and the user has none
 */
export function homePaths(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
  userHome?: string,
): HomePaths {
  const path = platform === 'win32' ? win32 : posix;
  return {
    get home() {
      return home();
    },
    get keyFile() {
      return path.join(home(), 'cluster.key');
    },
    get identityFile() {
      return path.join(home(), 'identity.json');
    },
    get runFile() {
      return path.join(home(), 'run.json');
    },
    get contentsFile() {
      return path.join(home(), 'model-files.json');
    },
    get profileFile() {
      return path.join(home(), 'profile.json');
    },
    get batchesDir() {
      return path.join(home(), 'batches');
    },
    get storeDir() {
      return path.join(home(), 'tiles');
    },
  };

  function home(): string {
    const asked = env.STARLING_HOME;
    if (!asked) return path.join(dataFolder(), 'starling');
    const found = told(() => path.resolve(asked));
    if (found !== undefined) return found;
    throw new StarlingError(
      'invalid_argument',
      `STARLING_HOME is ${asked}, in a folder that is gone: make it absolute`,
    );
  }

  function dataFolder(): string {
    if (platform === 'win32') return absolute(env.LOCALAPPDATA) ?? path.join(ofUser(), 'AppData', 'Local');
    if (platform === 'darwin') return path.join(ofUser(), 'Library', 'Application Support');
    return absolute(env.XDG_DATA_HOME) ?? path.join(ofUser(), '.local', 'share');
  }

  function ofUser(): string {
    const found = absolute(userHome ?? told(homedir)) ?? absolute(told(() => userInfo().homedir));
    if (found !== undefined) return found;
    throw new StarlingError(
      'invalid_argument',
      'this user has no home folder: set STARLING_HOME to the folder where Starling is to keep its key and tiles',
    );
  }

  /** The XDG specification says that a relative path is to be ignored; one would mean another folder in each. */
  function absolute(folder: string | undefined): string | undefined {
    return folder !== undefined && path.isAbsolute(folder) ? folder : undefined;
  }
}

/** What the system says; nothing where it does not know: a user without an entry, a current folder that was removed. */
function told(ask: () => string): string | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

/**
 * The folder of the installed package: the nearest one above this file that holds a package.json.
 * @throws StarlingError internal when there is none
 */
export function packageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (dirname(folder) === folder) {
      throw new StarlingError('internal', `no package.json above ${start}; install Starling again`);
    }
  }
}
