import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

test('C14: the first request ends a command in order, Ctrl-C after it at once', {
  skip: process.platform === 'win32',
}, async (t) => {
  const module = new URL('../../../../coordinator/cli/end-request.js', import.meta.url).href;
  // A command whose orderly end hangs.
  const script = `const { onEndRequest } = await import(${JSON.stringify(module)});
    process.on('SIGHUP', () => console.log('heard'));
    onEndRequest(() => console.log('asked'));
    setInterval(() => {}, 1000);
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said = async (...expected: string[]): Promise<void> => {
    for (const line of expected) assert.equal((await lines.next()).value, line);
  };
  await said('ready');
  child.kill('SIGHUP');
  await said('heard', 'asked');
  // A closed terminal may send it twice.
  child.kill('SIGHUP');
  await said('heard');
  const exit = once(child, 'exit');
  child.kill('SIGINT');
  assert.deepEqual(await exit, [130, null]);
});
