import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { homePaths, packageRoot } from '../../../daemon/paths.ts';

test('STARLING_HOME decides where everything is', () => {
  assert.deepEqual(homePaths({ STARLING_HOME: '/srv/st', XDG_DATA_HOME: '/x' }, 'linux', '/home/u'), {
    home: '/srv/st',
    keyFile: '/srv/st/cluster.key',
    identityFile: '/srv/st/identity.json',
    runFile: '/srv/st/run.json',
    contentsFile: '/srv/st/model-files.json',
    profileFile: '/srv/st/profile.json',
    batchesDir: '/srv/st/batches',
    storeDir: '/srv/st/tiles',
  });
  assert.equal(homePaths({ STARLING_HOME: 'here' }, 'linux', '/home/u').home, resolve('here'));
});

test('without it, the platform decides', () => {
  assert.equal(homePaths({ XDG_DATA_HOME: '/x' }, 'linux', '/home/u').home, '/x/starling');
  assert.equal(homePaths({ XDG_DATA_HOME: 'relative' }, 'linux', '/home/u').home, '/home/u/.local/share/starling');
  assert.equal(homePaths({ STARLING_HOME: '' }, 'linux', '/home/u').home, '/home/u/.local/share/starling');
  assert.equal(homePaths({}, 'darwin', '/Users/u').home, '/Users/u/Library/Application Support/starling');
  assert.equal(homePaths({}, 'win32', 'C:\\Users\\u').keyFile, 'C:\\Users\\u\\AppData\\Local\\starling\\cluster.key');
  assert.equal(homePaths({ LOCALAPPDATA: 'D:\\data' }, 'win32', 'C:\\Users\\u').home, 'D:\\data\\starling');
});

test('C10: a home is asked for only where it is needed, and has to be an absolute path', () => {
  const { identityFile } = homePaths({ STARLING_HOME: '/srv/st' }, 'linux', '');
  assert.equal(identityFile, '/srv/st/identity.json');
  assert.equal(homePaths({ XDG_DATA_HOME: '/x' }, 'linux', '').storeDir, '/x/starling/tiles');
  const windows = homePaths({ LOCALAPPDATA: 'data' }, 'win32', 'C:\\Users\\u');
  assert.equal(windows.home, 'C:\\Users\\u\\AppData\\Local\\starling');
  // Where HOME is empty or relative, the system's own entry of the user counts.
  for (const userHome of ['', 'relative']) {
    assert.equal(homePaths({}, 'linux', userHome).home, join(userInfo().homedir, '.local/share/starling'));
  }
});

test('the package root holds the package.json of starling', () => {
  const file = join(packageRoot(), 'package.json');
  assert.ok(existsSync(file));
  assert.equal(JSON.parse(readFileSync(file, 'utf8')).name, 'starling');
});
