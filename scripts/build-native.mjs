// Builds the native kernels with npm's own node-gyp into kernels/native/build.
// With --optional (at install) a machine without a C compiler is no error: Starling then computes in WebAssembly.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = join(root, 'kernels/native');
const addon = join(native, 'build/Release/starling.node');
const stamp = join(native, 'build/sources.sha256');
const optional = process.argv.includes('--optional');

const sources = [
  ...readdirSync(native)
    .filter((file) => /\.(c|h|gyp)$/.test(file))
    .map((file) => `native/${file}`),
  ...readdirSync(join(root, 'kernels/c')).map((file) => `c/${file}`),
];
const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
for (const source of sources) hash.update(readFileSync(join(root, 'kernels', source)));
const fingerprint = hash.digest('hex');

if (existsSync(addon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint) process.exit(0);

const gyp = findNodeGyp();
const headers = join(dirname(process.execPath), '../include/node');
const result = gyp === null ? null : build(gyp);
if (result?.status === 0 && existsSync(addon)) {
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, fingerprint);
  console.log('starling: native kernels built');
} else {
  const reason = gyp === null ? 'node-gyp was not found' : 'the compiler did not succeed';
  const advice = 'install a C compiler and make, then run: npm run build';
  if (!optional && result !== null) process.stderr.write(`${result.stdout}${result.stderr}`);
  console.warn(
    `starling: no native kernels (${reason}); computing in WebAssembly, about half as fast. To change that, ${advice}`,
  );
  process.exit(optional ? 0 : 1);
}

function findNodeGyp() {
  const candidates = [
    process.env.npm_config_node_gyp,
    process.env.npm_execpath && join(dirname(process.env.npm_execpath), '../node_modules/node-gyp/bin/node-gyp.js'),
    join(dirname(process.execPath), '../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'),
    join(dirname(process.execPath), 'node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'),
  ];
  const found = candidates.find((path) => path && existsSync(path));
  if (found) return found;
  try {
    return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  } catch {
    return null;
  }
}

function build(nodeGyp) {
  const args = [nodeGyp, 'rebuild', '--directory', native, '--silent'];
  if (existsSync(join(headers, 'node_api.h'))) args.push(`--nodedir=${join(headers, '../..')}`);
  return spawnSync(process.execPath, args, { encoding: 'utf8' });
}
