import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileError, type StarlingError, toStarlingError } from '../../../daemon/errors.ts';
import { writeRunFile } from '../../../daemon/run-file.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

test('C13: a file that the system refuses is told with its place and what to do, and is no internal error', async (t) => {
  const refused = (code: string): StarlingError =>
    toStarlingError(Object.assign(new Error(`${code}: no, open '/srv/run.json'`), { code, path: '/srv/run.json' }));
  const cases = [
    ['EROFS', 'store_failed', /run\.json cannot be used \(EROFS\); its file system is read-only: name another folder/],
    ['EACCES', 'store_failed', /this user may not: change its rights/],
    ['ENOSPC', 'disk_full', /its disk is full: free some space/],
    ['EMFILE', 'store_failed', /ulimit -n/],
  ] as const;
  for (const [system, code, message] of cases) {
    const error = refused(system);
    assert.equal(error.code, code);
    assert.match(error.message, message);
  }
  assert.equal(toStarlingError(new TypeError('x is undefined')).code, 'internal');
  assert.equal(toStarlingError(Object.assign(new Error('reset'), { code: 'EACCES' })).code, 'internal', 'no file');

  const folder = temporaryFolder(t);
  await writeFile(join(folder, 'home'), 'a file');
  const run = { pid: 1, host: '127.0.0.1', port: 1, id: '0123456789abcdef' };
  const inFile = await writeRunFile(join(folder, 'home', 'run.json'), run).catch(toStarlingError);
  assert.equal((inFile as StarlingError).code, 'store_failed');
  await mkdir(join(folder, 'run.json', 'x'), { recursive: true });
  const overFolder = await writeRunFile(join(folder, 'run.json'), run).catch(toStarlingError);
  assert.equal((overFolder as StarlingError).code, 'store_failed');
});

test('C13: the advice about a file that cannot be written fits the cause', () => {
  const refused = (code: string): StarlingError =>
    fileError(Object.assign(new Error(code), { code }), 'write', '/srv/key');
  assert.match(refused('EROFS').message, /^cannot write \/srv\/key \(EROFS\); its file system is read-only/);
  assert.match(refused('ENOSPC').message, /its disk is full: free some space/);
  assert.equal(refused('ENOSPC').code, 'disk_full');
  assert.match(refused('EACCES').message, /change its rights/);
  assert.match(refused('ESTALE').message, /check the disk/);
});
