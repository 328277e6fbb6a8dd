// Builds the WebAssembly kernels with the clang that comes from npm (a development dependency) into dist/kernels.
// Two modules from one source: with relaxed SIMD, and without for engines that lack it.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'dist/kernels');
const stamp = join(out, 'wasm-sources.sha256');
const files = ['kernels.c', ...readdirSync(join(root, 'kernels/c')).filter((name) => name.endsWith('.h'))];
const variants = { 'kernels-relaxed.wasm': ['-mrelaxed-simd'], 'kernels.wasm': [] };

const flags = [
  '--target=wasm32-unknown-unknown',
  '-O3',
  '-ffp-contract=off',
  '-mllvm',
  '-disable-lsr',
  '-fno-math-errno',
  '-nostdlib',
  '-msimd128',
  '-matomics',
  '-mbulk-memory',
  '-Wall',
  '-Wextra',
  '-Wl,--no-entry',
  '-Wl,--import-memory',
  '-Wl,--shared-memory',
  '-Wl,--max-memory=4294967296',
  '-Wl,--export=__stack_pointer',
  '-Wl,--export=__heap_base',
];

const contents = Object.fromEntries(files.map((name) => [name, readFileSync(join(root, 'kernels/c', name), 'utf8')]));
const fingerprint = createHash('sha256')
  .update(JSON.stringify([contents, flags, variants]))
  .digest('hex');
const upToDate =
  existsSync(stamp) &&
  readFileSync(stamp, 'utf8') === fingerprint &&
  Object.keys(variants).every((name) => existsSync(join(out, name)));
if (upToDate) process.exit(0);

const { runClang } = await import('@yowasp/clang');
mkdirSync(out, { recursive: true });
for (const [name, extra] of Object.entries(variants)) {
  const result = await runClang(['clang', ...flags, ...extra, 'kernels.c', '-o', name], contents);
  writeFileSync(join(out, name), result[name]);
}
writeFileSync(stamp, fingerprint);
console.log('starling: WebAssembly kernels built');
