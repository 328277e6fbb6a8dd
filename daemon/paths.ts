import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
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
  /** Tiles, a folder a model. */
  readonly storeDir: string;
}

/**
 * The paths under STARLING_HOME, or else under the platform's folder for data of an application:
 * $XDG_DATA_HOME/starling or ~/.local/share/starling, ~/Library/Application Support/starling on macOS,
 * %LOCALAPPDATA%\starling on Windows. Creates nothing.
 */
export function homePaths(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
  userHome: string = homedir(),
): HomePaths {
  const path = platform === 'win32' ? win32 : posix;
  const home = env.STARLING_HOME ? path.resolve(env.STARLING_HOME) : path.join(dataFolder(), 'starling');
  return {
    home,
    keyFile: path.join(home, 'cluster.key'),
    identityFile: path.join(home, 'identity.json'),
    runFile: path.join(home, 'run.json'),
    storeDir: path.join(home, 'tiles'),
  };

  function dataFolder(): string {
    if (platform === 'win32') return env.LOCALAPPDATA || path.join(userHome, 'AppData', 'Local');
    if (platform === 'darwin') return path.join(userHome, 'Library', 'Application Support');
    // the XDG specification says that a relative path is to be ignored
    const xdg = env.XDG_DATA_HOME;
    return xdg && path.isAbsolute(xdg) ? xdg : path.join(userHome, '.local', 'share');
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
