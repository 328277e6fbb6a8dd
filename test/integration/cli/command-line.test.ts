import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../../daemon/paths.ts';
import { writeGguf } from '../../../scripts/gguf-writer.ts';
import { commandLine } from '../../fixtures/command-line.ts';
import { MINIMAL_METADATA, minimalTensors, raw, rawFile } from '../../fixtures/gguf.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const EMBEDDED_MODEL = join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf');

test('every command explains itself', async (t) => {
  const home = temporaryFolder(t);
  const commands = [
    '',
    'demo',
    'run',
    'daemon',
    'serve',
    'chat',
    'devices',
    'store',
    'store ls',
    'store verify',
    'store rm',
    'key',
    'key new',
    'key show',
    'key import',
  ];
  for (const command of commands) {
    const words = command.split(' ').filter((word) => word !== '');
    const { code, stdout, stderr } = await commandLine([...words, '--help'], { home });
    assert.deepEqual([code, stderr], [0, ''], command);
    assert.match(stdout, /^Usage: starling/);
    assert.match(stdout, /\nExamples:\n {2}\$ \w/, command);
  }
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  assert.deepEqual(await commandLine(['--version'], { home }), { code: 0, stdout: `${version}\n`, stderr: '' });
});

test('C10: a user without a home has help and version, and the rest with STARLING_HOME', (t) => {
  const folder = temporaryFolder(t);
  // As where there is neither HOME nor an entry in /etc/passwd.
  const homeless = `import os from 'node:os'; import { syncBuiltinESMExports } from 'node:module';
    os.homedir = os.userInfo = () => { throw new Error('uv_os_homedir returned ENOENT'); }; syncBuiltinESMExports();`;
  const main = join(packageRoot(), 'dist/coordinator/cli/main.js');
  const run = (args: readonly string[], home: Record<string, string> = {}): string => {
    const { HOME: _home, XDG_DATA_HOME: _data, STARLING_HOME: _starling, ...rest } = process.env;
    const preload = ['--import', `data:text/javascript,${encodeURIComponent(homeless)}`];
    const env = { ...rest, ...home };
    const { status, stdout, stderr } = spawnSync(process.execPath, [...preload, main, ...args], {
      env,
      encoding: 'utf8',
    });
    return `${status} ${stdout}${stderr}`;
  };
  assert.match(run(['daemon', '--help']), /^0 Usage: starling daemon/);
  assert.match(run(['--version']), /^0 \d+\.\d+\.\d+\n$/);
  assert.match(run(['key', 'new']), /^2 starling: .*set STARLING_HOME.* \[invalid_argument\]\n$/);
  assert.match(run(['key', 'new'], { STARLING_HOME: join(folder, 'home') }), /^0 made cluster key/);
  assert.match(run(['store', 'ls'], { XDG_DATA_HOME: folder }), /^0 there are no tiles in .*starling.tiles\n$/);
});

test('a command line that cannot be understood exits with 2 and says why', async (t) => {
  const home = temporaryFolder(t);
  const cases: readonly (readonly [args: string[], message: RegExp])[] = [
    [[], /^Usage: starling/],
    [['frobnicate'], /unknown command 'frobnicate'\n\(add --help for help\)/],
    [['key', 'frobnicate'], /unknown command 'frobnicate'/],
    [['run'], /missing required argument 'model'\n\(add --help for help\)/],
    [['run', 'tiny-chat'], /missing required argument 'prompt'/],
    [['run', 'tiny-chat', 'x', '--frobnicate'], /unknown option '--frobnicate'/],
    [['run', 'tiny-chat', 'x', '--threads', '0'], /'0' is invalid. a whole number from 1 to 256/],
    [['run', 'tiny-chat', 'x', '--kv', 'q4'], /Allowed choices are f16, q8/],
    [['run', 'tiny-chat', 'x', '--backend', 'gpu'], /Allowed choices are native, wasm, reference/],
    [['run', 'tiny-chat', 'x', '--temperature', 'hot'], /'hot' is invalid. a number from 0 to 100/],
    [['run', 'tiny-chat', 'x', '--top-p', '1.5'], /'1.5' is invalid/],
    [['run', 'tiny-chat', 'x', '--seed', '-1'], /'-1' is invalid|argument missing/],
    [['serve', 'tiny-chat', '--port', '70000'], /'70000' is invalid/],
    [['serve', 'tiny-chat', '--peer', 'a b'], /host:port is expected/],
    [['serve', 'tiny-chat', '--allow-origin', 'not a url'], /'not a url' is invalid. an origin is expected/],
    [['serve', 'tiny-chat', '--allow-host', 'http://box'], /'http:\/\/box' is invalid. a host name/],
    [['serve', 'tiny-chat', '--api-key', 'x', '--api-key-file', 'y'], /'--api-key <key>' cannot be used with/],
    [['serve', 'tiny-chat', '--alias', ''], /a name of 1 to 256 characters/],
    [['demo', '--devices', '0'], /'0' is invalid/],
    [['daemon', '--memory', 'plenty'], /'plenty' is invalid.*1600MB/],
    [['store', 'rm'], /name one model, or give --all \[invalid_argument\]/],
    [['chat', '--url', 'somewhere'], /somewhere is no URL.*\[invalid_argument\]/],
    [['run', 'tiny-chat', 'x', '--raw', '--system', 'y'], /'--raw' cannot be used with option '--system <text>'/],
    [['run', 'no-such-model.gguf', 'x'], /no-such-model\.gguf does not exist.*\[model_file_not_found\]/],
    [['serve', home], / is a folder, not a file.*\[model_file_unreadable\]/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await commandLine(args, { home });
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.doesNotMatch(stderr, /^ +at /m, 'a stack trace is no message');
  }
});

test('a model file that cannot be used is refused by name', async (t) => {
  const [home, folder] = [temporaryFolder(t), temporaryFolder(t)];
  const whole = readFileSync(EMBEDDED_MODEL);
  const cut = (name: string, bytes: number): string => {
    const path = join(folder, name);
    writeFileSync(path, whole);
    truncateSync(path, bytes);
    return path;
  };
  const text = join(folder, 'text.gguf');
  writeFileSync(text, 'I am no model. '.repeat(100));
  const unsupported = join(folder, 'f64.gguf');
  await writeGguf(unsupported, { metadata: MINIMAL_METADATA, tensors: minimalTensors('F64') });
  const lying = (...pieces: Buffer[]): Promise<string> => rawFile(temporaryFolder(t), ...pieces);
  const cases: readonly (readonly [what: string, path: string, message: RegExp])[] = [
    ['empty', cut('empty.gguf', 0), /\[model_truncated\]|\[model_not_gguf\]/],
    ['cut in the magic', cut('magic.gguf', 3), /\[model_truncated\]|\[model_not_gguf\]/],
    ['cut in the header', cut('header.gguf', 1000), /header\.gguf.*\[model_truncated\]/],
    ['cut in the weights', cut('weights.gguf', whole.length - 1000), /weights\.gguf.*\[model_truncated\]/],
    ['no model at all', text, /text\.gguf.*\[model_not_gguf\]/],
    ['of another version', await lying(raw.start(0, 0, 9)), /\[model_unsupported_version\]/],
    ['said to hold 2^60 tensors', await lying(raw.start(2 ** 60, 0)), /\[model_(invalid|truncated)\]/],
    ['said to hold 2^63 keys', await lying(raw.start(0, 2n ** 63n)), /\[model_(invalid|truncated)\]/],
    [
      'with a string of 2^62 bytes',
      await lying(raw.start(0, 1), raw.u64(2n ** 62n), Buffer.from('general')),
      /\[model_(invalid|truncated)\]/,
    ],
    [
      'with a tensor far outside',
      await lying(raw.start(1, 0), raw.tensor('token_embd.weight', [32, 3], 0, 2n ** 50n)),
      /\[model_(invalid|truncated|unsupported_architecture)\]/,
    ],
    ['in an unsupported type', unsupported, /tensor \S+ is F64.*\[model_unsupported_tensor_type\]/],
  ];
  for (const [what, path, message] of cases) {
    const { code, stdout, stderr } = await commandLine(['run', path, 'x'], { home });
    assert.match(stderr, message, what);
    assert.deepEqual([code, stdout], [2, ''], what);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  }
});
