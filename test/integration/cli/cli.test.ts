import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TokenReport } from '../../../coordinator/cluster/account-report.ts';
import { openGguf } from '../../../coordinator/model/gguf/reader.ts';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { homePaths, packageRoot } from '../../../daemon/paths.ts';
import { writeGguf } from '../../../scripts/gguf-writer.ts';
import { MINIMAL_METADATA, minimalTensors, raw, rawFile } from '../../fixtures/gguf.ts';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const EMBEDDED = join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf');
const SHORT = ['--max-tokens', '8', '--threads', '1'];

test('every command explains itself', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
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
  await twoAtATime(commands, async (command) => {
    const words = command.split(' ').filter((word) => word !== '');
    const { code, stdout, stderr } = await sandbox.run([...words, '--help'], { home });
    assert.deepEqual([code, stderr], [0, ''], command);
    assert.match(stdout, /^Usage: starling/);
    assert.match(stdout, /\nExamples:\n {2}\$ \w/, command);
  });
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  assert.deepEqual((await sandbox.run(['--version'], { home })).stdout, `${version}\n`);
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
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
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
  await twoAtATime(cases, async ([args, message]) => {
    const { code, stdout, stderr } = await sandbox.run(args, { home });
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.doesNotMatch(stderr, /^ +at /m, 'a stack trace is no message');
  });
});

test('a model file that cannot be used is refused by name', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const whole = readFileSync(EMBEDDED);
  const cut = (name: string, bytes: number): string => {
    const path = join(sandbox.folder, name);
    writeFileSync(path, whole);
    truncateSync(path, bytes);
    return path;
  };
  const text = join(sandbox.folder, 'text.gguf');
  writeFileSync(text, 'I am no model. '.repeat(100));
  const unsupported = join(sandbox.folder, 'f64.gguf');
  await writeGguf(unsupported, { metadata: MINIMAL_METADATA, tensors: minimalTensors('F64') });
  const lying = async (name: string, ...pieces: Buffer[]): Promise<string> => rawFile(sandbox.home(name), ...pieces);
  const cases: readonly (readonly [what: string, path: string, message: RegExp])[] = [
    ['empty', cut('empty.gguf', 0), /\[model_truncated\]|\[model_not_gguf\]/],
    ['cut in the magic', cut('magic.gguf', 3), /\[model_truncated\]|\[model_not_gguf\]/],
    ['cut in the header', cut('header.gguf', 1000), /header\.gguf.*\[model_truncated\]/],
    ['cut in the weights', cut('weights.gguf', whole.length - 1000), /weights\.gguf.*\[model_truncated\]/],
    ['no model at all', text, /text\.gguf.*\[model_not_gguf\]/],
    ['of another version', await lying('v9', raw.start(0, 0, 9)), /\[model_unsupported_version\]/],
    ['said to hold 2^60 tensors', await lying('tensors', raw.start(2 ** 60, 0)), /\[model_(invalid|truncated)\]/],
    ['said to hold 2^63 keys', await lying('keys', raw.start(0, 2n ** 63n)), /\[model_(invalid|truncated)\]/],
    [
      'with a string of 2^62 bytes',
      await lying('string', raw.start(0, 1), raw.u64(2n ** 62n), Buffer.from('general')),
      /\[model_(invalid|truncated)\]/,
    ],
    [
      'with a tensor far outside',
      await lying('tensor', raw.start(1, 0), raw.tensor('token_embd.weight', [32, 3], 0, 2n ** 50n)),
      /\[model_(invalid|truncated|unsupported_architecture)\]/,
    ],
    ['in an unsupported type', unsupported, /tensor \S+ is F64.*\[model_unsupported_tensor_type\]/],
  ];
  await twoAtATime(cases, async ([what, path, message]) => {
    const { code, stdout, stderr } = await sandbox.run(['run', path, 'x', ...SHORT], { home });
    assert.match(stderr, message, what);
    assert.deepEqual([code, stdout], [2, ''], what);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  });
});

test('run asks a model through its chat template, and continues the bare text with --raw', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const run = async (args: readonly string[], stdin?: string): Promise<string> => {
    const input = stdin === undefined ? {} : { stdin };
    const { code, stdout, stderr } = await sandbox.run(['run', ...args, '--threads', '1'], { home, ...input });
    assert.deepEqual([code, stderr], [0, '']);
    return stdout;
  };
  const question = 'What is three plus four?';
  const answer = await run(['tiny-chat', question]);
  assert.match(answer, /^[A-Z][^<\n]*seven[^<\n]*\n$/);
  assert.equal(await run(['tiny-chat', '-'], `${question}\n`), answer);
  // The model's template leaves system messages out.
  assert.equal(await run([EMBEDDED, question, '--system', 'Answer in one word.']), answer);
  assert.match(await run(['tiny-chat', 'Once upon a time', '--raw', '--max-tokens', '8']), /^ there was [^\n]+\n$/);

  const chat = ['run', 'tiny-chat', 'Who are you?', '--json', '--threads', '1'];
  type Told = { text: string; finish_reason: string; prompt_tokens: number; logits_sha256: string };
  const whole = await sandbox.runJson<Told>(chat, { home });
  assert.equal(whole.finish_reason, 'stop');
  assert.match(whole.text, /^I am [^<]+$/);
  const raw = await sandbox.runJson<Told>([...chat, '--raw', '--max-tokens', '1'], { home });
  assert.equal(whole.prompt_tokens, raw.prompt_tokens + 3, 'with <|user|>, <|end|> and <|assistant|> around it');
  const stopped = await sandbox.runJson<Told>([...chat, '--stop', '. '], { home });
  assert.deepEqual([stopped.text, stopped.finish_reason], [whole.text.split('. ')[0], 'stop']);
  const several = await sandbox.runJson<Told>([...chat, '--local-devices', '2', '--draft', 'tiny-chat'], { home });
  assert.deepEqual([several.text, several.logits_sha256], [whole.text, whole.logits_sha256]);

  const long = await sandbox.run(['run', 'tiny-chat', 'dog '.repeat(100), '--context', '32', ...SHORT], { home });
  assert.equal(long.code, 2);
  assert.match(long.stderr, /holds 32.*\[context_length_exceeded\]/);
});

test('run continues the bare text of a model without a chat template, and says so once', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const path = join(sandbox.folder, 'bare.gguf');
  const whole = readFileSync(EMBEDDED);
  // The key by another name: the file has no template then.
  whole.write('x', whole.indexOf('tokenizer.chat_template'));
  writeFileSync(path, whole);
  const run = (...args: string[]) => sandbox.run(['run', path, 'Once', ...args, ...SHORT], { home });
  const bare = await run();
  assert.equal(bare.code, 0, bare.stderr);
  assert.match(bare.stderr, /^[^\n]*no chat template[^\n]*--raw[^\n]*\n$/);
  const { code, stdout, stderr } = await run('--raw');
  assert.deepEqual([code, stdout, stderr], [0, bare.stdout, '']);
  const refused = await run('--system', 'Be brief.');
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /--system: .*no chat template.*\[invalid_argument\]/);
});

test('run prints the answer alone of a model that thinks, and tells of both in JSON', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const path = join(sandbox.folder, 'thinker.gguf');
  const whole = readFileSync(EMBEDDED);
  const gguf = await openGguf(EMBEDDED);
  const template = gguf.metadata.string('tokenizer.chat_template');
  await gguf.close();
  // As long as the template, so that nothing else of the file changes: it opens reasoning, which the model never closes.
  const thinks = `{# </think> #}{{ '<|user|>' + messages[0]['content'] + '<|end|><|assistant|><think>' }}`;
  whole.write(`{#${' '.repeat(template.length - thinks.length - 4)}#}${thinks}`, whole.indexOf(template));
  writeFileSync(path, whole);
  const run = ['run', path, 'Who are you?', ...SHORT];
  const { code, stdout, stderr } = await sandbox.run(run, { home });
  assert.deepEqual([code, stdout, stderr], [0, '\n', '']);
  type Told = { text: string; reasoning_content: string };
  const { text, reasoning_content } = await sandbox.runJson<Told>([...run, '--json'], { home });
  assert.equal(text, '');
  assert.match(reasoning_content, /^\S.*[a-z]/);
});

test('a run accounts for each device, and refuses a memory in which nothing fits', async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const run = ['run', 'tiny-chat', 'Once', '--raw', '--json', '--threads', '1', '--max-tokens', '6'];
  run.push('--local-devices', '2');
  const { accounting } = await sandbox.runJson<{ accounting: TokenReport }>(run, { home });
  assert.deepEqual(
    accounting.devices.map(({ name, bytes_read_per_token }) => [name, bytes_read_per_token]),
    [
      ['this device', 0],
      ['local-1', 0],
    ],
  );
  assert.ok(accounting.devices.every(({ compute_ms_per_token }) => compute_ms_per_token > 0));
  assert.match(accounting.binding, /^(compute|network)$/);
  const { code, stderr } = await sandbox.run([...run, '--memory', '20MB'], { home });
  assert.match(stderr, /the least that would do is --memory \d+MB .*\[memory_too_small\]/);
  assert.equal(code, 1);
});

test('Ctrl-C ends a command that waits for its input', async (t) => {
  const sandbox = new Sandbox(t);
  const home = await sandbox.homeWithKey('home', ClusterKey.generate());
  const run = sandbox.start(['run', 'tiny-chat', '-', '--log-level', 'debug'], { home, interactive: true });
  const key = sandbox.start(['key', 'import', '-'], { home, interactive: true });
  // Neither says anything before it has its input, so there is nothing to wait for but time.
  await sleep(2000);
  run.signal('SIGINT');
  key.signal('SIGINT');
  for (const process of [run, key]) {
    const { code, signal } = await process.ended(10_000);
    assert.ok(code === 130 || signal === 'SIGINT', `ended with ${code ?? signal}`);
  }
  assert.deepEqual([run.stderr, key.stderr], ['', '']);
});

test('a reader that closes the pipe ends a command without noise', {
  skip: process.platform === 'win32',
}, async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const run = ['run', 'tiny-chat', 'Once upon a time', '--raw', '--max-tokens', '2000', '--threads', '1'];
  const process = sandbox.start(run, { home });
  await process.printed(/ there was/);
  process.closeStdout();
  const { code } = await process.ended(20_000);
  assert.notEqual(code, 0);
  assert.equal(process.stderr, '');
});

test('a key is made, shown and imported, readable by its owner only', async (t) => {
  const sandbox = new Sandbox(t);
  const [one, two] = [sandbox.home('one'), sandbox.home('two')];
  const fileOf = (home: string): string => homePaths({ STARLING_HOME: home }).keyFile;

  const none = await sandbox.run(['key', 'show'], { home: one });
  assert.equal(none.code, 3);
  assert.match(none.stderr, /\[no_key\]/);

  const made = await sandbox.run(['key', 'new'], { home: one });
  assert.deepEqual([made.code, made.stdout], [0, '']);
  const shown = await sandbox.run(['key', 'show'], { home: one });
  const key = ClusterKey.parse(shown.stdout.trim());
  assert.match(made.stderr, new RegExp(key.keyId));
  assert.ok(!made.stderr.includes(shown.stdout.trim()) && !shown.stderr.includes(shown.stdout.trim()));

  const imported = await sandbox.run(['key', 'import', '-'], { home: two, stdin: shown.stdout });
  assert.deepEqual([imported.code, imported.stdout], [0, '']);
  assert.equal((await sandbox.run(['key', 'show'], { home: two })).stdout, shown.stdout);
  if (process.platform !== 'win32') {
    for (const home of [one, two]) assert.equal(statSync(fileOf(home)).mode & 0o777, 0o600);
  }

  // A key is not overwritten without a word.
  const again = await sandbox.run(['key', 'new'], { home: one });
  assert.equal(again.code, 2);
  assert.match(again.stderr, /--force.*\[invalid_argument\]/);
  assert.equal((await sandbox.run(['key', 'show'], { home: one })).stdout, shown.stdout);
  const wrong = await sandbox.run(['key', 'import', `${shown.stdout.trim().slice(0, -1)}?`], { home: one });
  assert.equal(wrong.code, 3);
  assert.match(wrong.stderr, /\[key_invalid\]/);
});

test('devices lists the free, the busy, the foreign and the silent', async (t) => {
  const sandbox = new Sandbox(t);
  const [key, other] = [ClusterKey.generate(), ClusterKey.generate()];
  const home = await sandbox.homeWithKey('home', key);
  const empty = await sandbox.run(['devices', '--no-discovery'], { home });
  assert.match(empty.stdout, /^no devices: start "starling daemon"/);

  const mine = await sandbox.daemon('mine', home);
  const busy = await sandbox.daemon('busy', await sandbox.homeWithKey('busy', key));
  const foreign = await sandbox.daemon('foreign', await sandbox.homeWithKey('foreign', other));
  const gone = await sandbox.daemon('gone', await sandbox.homeWithKey('gone', key));
  await gone.process.stop();
  const served = await sandbox.serve(await sandbox.homeWithKey('user', key), 'tiny-chat', [busy]);

  const peers = [busy, foreign, gone].flatMap(({ address }) => ['--peer', address]);
  const rows = await sandbox.runJson<
    { name: string; address: string; state: string; why?: string; status?: { model: string | null; tiles: number } }[]
  >(['devices', '--no-discovery', '--json', ...peers], { home });
  assert.deepEqual(
    rows.map(({ name, address, state }) => [name, address, state]),
    [
      // The daemon of this home is found without being named.
      ['mine', mine.address, 'free'],
      ['busy', busy.address, 'serving'],
      [foreign.address, foreign.address, 'other cluster'],
      [gone.address, gone.address, 'unreachable'],
    ],
  );
  assert.deepEqual([rows[0]!.status?.model, rows[0]!.status?.tiles], [null, 0]);
  assert.equal(typeof rows[1]!.status?.model, 'string');
  assert.ok(rows[1]!.status!.tiles > 10);
  const { stdout } = await sandbox.run(['devices', '--no-discovery', ...peers], { home });
  assert.equal(stdout.trim().split('\n').length, 4);
  assert.match(stdout, /^busy +\S+ +serving .* tiles\): \d+ MB in \d+ tiles kept in memory, .* MB allowed$/m);
  await served.process.stop();
});

test('demo answers, serves on, and leaves nothing behind', { skip: process.platform === 'win32' }, async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const demo = sandbox.start(['demo', '--devices', '2', '--port', '0', '--threads', '1'], { home });
  const [shown, url] = await demo.printed(/is served at (http:\S+)\/v1 by 2 devices[\s\S]+Ctrl-C ends the demo/);
  const answer = shown.split('> Tell me a story about a dog.\n')[1]!.split('\n')[0]!;
  assert.match(answer, /^[A-Z].{20,}/);
  const children = childrenOf(demo.pid);
  assert.ok(children.length >= 2, 'the devices, and what else there is');

  const { text } = await rawRequest(`${url}/health`);
  const { devices } = JSON.parse(text) as { devices: { name: string; state: string }[] };
  assert.deepEqual(devices.map(({ name, state }) => `${name} ${state}`).sort(), ['local-1 ready', 'local-2 ready']);

  const chat = ['chat', '--url', url!, '--temperature', '0'];
  const asked = await sandbox.run(chat, { home, stdin: 'Tell me a story about a dog.\n\n/reset\nWho are you?\n' });
  assert.deepEqual([asked.code, asked.stderr], [0, '']);
  const lines = asked.stdout.split('\n');
  assert.deepEqual([lines.length, lines[0], lines[2]], [3, answer, '']);
  assert.match(lines[1]!, /^I am /);
  const ended = await sandbox.run(chat, { home, stdin: '/exit\nWho are you?\n' });
  assert.deepEqual([ended.code, ended.stdout], [0, '']);

  demo.signal('SIGINT');
  assert.deepEqual(await demo.ended(20_000), { code: 0, signal: null });
  assert.equal(demo.stderr, '');
  for (const pid of children) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, `process ${pid} is left`);
  const late = await sandbox.run(chat, { home, stdin: 'Hello\n' });
  assert.equal(late.code, 1);
  assert.match(late.stderr, /nothing answers at .*\[endpoint_unreachable\]/);
});

test('C14: what a killed command leaves is cleaned by the next; a closed terminal ends one in order', {
  skip: process.platform === 'win32',
}, async (t) => {
  const sandbox = new Sandbox(t);
  const home = sandbox.home('home');
  const left = (): string[] =>
    readdirSync(home, { recursive: true, encoding: 'utf8' })
      .map((path) => basename(path))
      .filter((name) => /^starling-|^run\.json$|\.(use|alive|new|tmp)$/.test(name));

  const demo = sandbox.start(['demo', '--devices', '2', '--port', '0', '--threads', '1'], { home });
  await demo.printed(/Ctrl-C ends the demo/);
  const children = childrenOf(demo.pid);
  assert.ok(children.length >= 2, 'the devices, and what else there is');
  // Its folder is that of a demo that runs.
  await sandbox.run(['store', 'ls'], { home });
  const folder = left().find((name) => name.startsWith('starling-local-'));
  assert.ok(folder !== undefined && existsSync(join(home, folder, 'device-2/cluster.key')));
  await demo.kill();
  const deadline = performance.now() + 10_000;
  while (children.some(isAlive)) {
    assert.ok(performance.now() < deadline, `processes ${children.filter(isAlive).join()} are left`);
    await sleep(50);
  }
  const killed = await sandbox.daemon('device', home);
  await killed.process.kill();
  assert.ok(left().includes('run.json'));

  const removed = await sandbox.run(['store', 'rm', '--all'], { home });
  assert.match(removed.stdout, /^removed Starling tiny chat/, removed.stderr);
  assert.deepEqual(left(), []);

  const hung = await sandbox.daemon('device', home);
  assert.deepEqual(await hung.process.stop('SIGHUP'), { code: 0, signal: null });
  assert.deepEqual(left(), []);
});

/** Each is a process of its own, which takes a core while it starts. */
async function twoAtATime<T>(items: readonly T[], check: (item: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < items.length; i += 2) await Promise.all(items.slice(i, i + 2).map(check));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Process ids of the children of a process. */
function childrenOf(pid: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  return rows.flatMap(([child, parent]) => (parent === pid && child !== undefined ? [child] : []));
}
