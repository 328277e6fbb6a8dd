import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { keyCommand } from '../../../../coordinator/cli/key-command.ts';
import { ClusterKey, loadKey } from '../../../../daemon/cluster-key.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

function rig(t: TestContext) {
  const keyFile = join(temporaryFolder(t), 'cluster.key');
  const run = async (args: string[], stdin = ''): Promise<{ stdout: string; stderr: string }> => {
    let stdout = '';
    let stderr = '';
    const command = keyCommand({
      keyFile,
      stdin: Readable.from(stdin === '' ? [] : [stdin]),
      stdout: (text) => {
        stdout += text;
      },
      stderr: (text) => {
        stderr += text;
      },
    });
    await command.parseAsync(args, { from: 'user' });
    return { stdout, stderr };
  };
  return { keyFile, run };
}

test('new stores a key and tells its id, never the key', async (t) => {
  const { keyFile, run } = rig(t);
  const { stdout, stderr } = await run(['new']);
  const key = await loadKey(keyFile);
  assert.equal(stdout, '');
  assert.ok(stderr.includes(key.keyId) && !stderr.includes(key.toText()));
  await assert.rejects(run(['new']), { code: 'invalid_argument', message: /--force/ });
  await run(['new', '--force']);
  assert.notEqual((await loadKey(keyFile)).keyId, key.keyId);
});

test('show prints the key alone to stdout, so that it can be piped', async (t) => {
  const { keyFile, run } = rig(t);
  await assert.rejects(run(['show']), { code: 'no_key' });
  await run(['new']);
  const key = await loadKey(keyFile);
  const { stdout, stderr } = await run(['show']);
  assert.equal(stdout, `${key.toText()}\n`);
  assert.ok(stderr.includes(key.keyId) && !stderr.includes(key.toText()));
});

test('import takes the key as an argument or from standard input', async (t) => {
  const { keyFile, run } = rig(t);
  const [one, two] = [ClusterKey.generate(), ClusterKey.generate()];
  await run(['import', one.toText()]);
  assert.ok((await loadKey(keyFile)).equals(one));
  await assert.rejects(run(['import', two.toText()]), { code: 'invalid_argument', message: /--force/ });
  await run(['import', '-', '--force'], `${two.toText()}\n`);
  assert.ok((await loadKey(keyFile)).equals(two));
  await assert.rejects(run(['import', '-'], 'x'.repeat(5000)), { code: 'key_invalid' });
  await assert.rejects(run(['import', '-']), { code: 'key_invalid' });
  await assert.rejects(run(['import', `${one.toText().slice(0, -1)}9`]), { code: 'key_invalid' });
});

test('every subcommand has a help text with an example', () => {
  const command = keyCommand({ keyFile: '', stdin: Readable.from([]), stdout: () => {}, stderr: () => {} });
  for (const each of [command, ...command.commands]) {
    let help = '';
    each.configureOutput({ writeOut: (text) => (help += text) });
    each.outputHelp();
    assert.match(help, /Examples:\n {2}\$ starling key /, each.name());
  }
});
