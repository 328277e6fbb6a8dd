// Compares the native kernels of every instruction set that runs here, as the addon has them, and those of 64-bit ARM
// when a cross compiler and an emulator are installed (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user).
// Ends with 1 on a difference.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'starling-targets-'));
const common = ['-O3', '-ffp-contract=off', '-fno-tree-vectorize', '-fno-math-errno', '-Wno-psabi'];
const cpu = process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'utf8') : '';
const avx512 = ['f', 'bw', 'vl', 'dq', 'vnni'].map((set) => `-mavx512${set}`);
avx512.push('-mprefer-vector-width=256', '-DSTARLING_WIDE');
const arm = { compiler: 'aarch64-linux-gnu-gcc', extra: ['-static'], run: ['qemu-aarch64'] };
const x64 = { compiler: 'cc', extra: [], run: [] };
spawnSync(process.execPath, [join(root, 'scripts/build-native.mjs'), '--optional']);
const targets = [
  { name: 'x64 baseline', ...x64, flags: [], here: process.arch === 'x64', library: 'kernels_base' },
  { name: 'x64 avx2', ...x64, flags: ['-mavx2', '-mf16c'], here: / avx2 /.test(cpu), library: 'kernels_avx2' },
  {
    name: 'x64 avx512vnni',
    ...x64,
    flags: ['-mavx2', '-mf16c', ...avx512],
    here: / avx512_vnni /.test(cpu),
    wide: true,
    library: 'kernels_avx512vnni',
  },
  { name: 'arm64 baseline', ...arm, flags: ['-march=armv8-a'], here: true },
  { name: 'arm64 dotprod', ...arm, flags: ['-march=armv8.2-a+dotprod'], here: true },
];

let first;
let failed = false;
for (const { name, compiler, extra, run, flags, here, wide, library } of targets) {
  const available = [compiler, ...run].every((command) => spawnSync(command, ['--version']).status === 0);
  if (!here || !available) {
    console.log(`${name}: skipped (this machine does not run it)`);
    continue;
  }
  const program = join(folder, name.replace(' ', '-'));
  const built = join(root, `kernels/native/build/Release/${library}.a`);
  const [table, kernels] = existsSync(built)
    ? [`starling_${library}`, [built]]
    : ['kernels', ['kernels.c', ...(wide ? ['matmul-wide.c'] : [])].map((file) => join(root, 'kernels/c', file))];
  const sources = [join(root, 'scripts/kernel-digest.c'), ...kernels];
  const args = [...common, ...flags, `-DSTARLING_TABLE=${table}`, ...sources, ...extra, '-o', program];
  const linked = spawnSync(compiler, args, { encoding: 'utf8' });
  const [command, ...rest] = [...run, program];
  const result = linked.status === 0 ? spawnSync(command, rest, { encoding: 'utf8' }) : linked;
  if (result.status !== 0) {
    console.log(`${name}: failed\n${result.stderr}`);
    failed = true;
    continue;
  }
  first ??= { name, lines: result.stdout.trim().split('\n') };
  const different = result.stdout
    .trim()
    .split('\n')
    .filter((line, i) => line !== first.lines[i]);
  console.log(
    `${name}: ${different.length === 0 ? `${first.lines.length} digests equal` : `differs from ${first.name}: ${different.join(', ')}`}`,
  );
  failed ||= different.length > 0;
}
rmSync(folder, { recursive: true });
process.exitCode = failed || first === undefined ? 1 : 0;
