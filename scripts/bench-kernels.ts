// Measures the kernels on threads, beside the speed of the memory that they read:
// npm run -s bench:kernels -- --formats Q4_0,Q4_K --rows 1,64
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { decimal, integer } from '../coordinator/cli/options.ts';
import { StarlingError } from '../daemon/errors.ts';
import { BACKENDS, backendAvailable } from '../kernels/create-kernels.ts';
import { isWeightFormat, roundUp, WEIGHT_FORMATS, type WeightFormat } from '../kernels/formats.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { BenchMemory, type KernelCase } from './bench-cases.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { median, rounded } from './bench-statistics.ts';
import { BenchThreads } from './bench-threads.ts';
import { type MemoryReader, openMemoryReader } from './memory-bandwidth.ts';

export interface BenchKernelsOptions {
  readonly formats: readonly WeightFormat[];
  readonly rows: readonly number[];
  readonly backends: readonly BackendName[];
  readonly threads: readonly number[];
  /** To measure each row of the report for. */
  readonly seconds: number;
  /** Of weights that a thread reads in one repetition: more than any cache holds. */
  readonly bytes: number;
  readonly onProgress?: (what: string) => void;
}

export interface KernelRow {
  readonly op: KernelCase['op'];
  readonly format: KernelCase['format'];
  readonly rows: number | null;
  readonly backend: BackendName;
  readonly threads: number;
  /** Of all threads together; of which bytes, see KernelCase. */
  readonly gb_per_s: number;
  readonly gflops: number | null;
  /** gb_per_s as a part of what plain reading reaches with as many threads, just before and after. */
  readonly of_memory: number;
}

export interface KernelReport extends BenchMachine {
  readonly memory_gb_per_s: Readonly<Record<string, number>>;
  readonly memory_read_by: string;
  readonly rows: readonly KernelRow[];
}

const BYTES = 96 * 2 ** 20;
/** Memory is read over so much more than a kernel reads: 512 MiB a thread. */
const MEMORY_FACTOR = 512 / 96;

/** GB/s of some passes of plain reading, by threads. */
type Reading = ReadonlyMap<number, readonly number[]>;

type MeasuredRow = Omit<KernelRow, 'of_memory'> & {
  /** The reading before it; the next one is after it. */
  readonly reading: number;
};

/**
 * Measures every case, and the memory before, between and after them, since a shared machine changes while one looks.
 */
export async function benchKernels(options: BenchKernelsOptions): Promise<KernelReport> {
  const most = Math.max(...options.threads);
  const reader = await openMemoryReader(roundUp(options.bytes * MEMORY_FACTOR, 8192), most);
  try {
    const readings: Reading[] = [];
    const rows: MeasuredRow[] = [];
    for (const backend of options.backends) {
      const memory = new BenchMemory({ ...options, backend, threads: most, rows: Math.max(...options.rows) });
      const handles = Array.from({ length: most }, () => memory.arena.handle());
      const pool = await BenchThreads.start(handles);
      try {
        for (const format of [...options.formats, null]) {
          options.onProgress?.(`${backend} ${format ?? 'other operations'}`);
          readings.push(await readMemory(reader, options.threads));
          const cases = format === null ? memory.otherCases() : memory.formatCases(format, options.rows);
          for (const kernelCase of cases) {
            for (const threads of options.threads) {
              const row = await measure(pool, kernelCase, threads, options.seconds);
              rows.push({ ...row, backend, reading: readings.length - 1 });
            }
          }
        }
      } finally {
        await pool.stop();
      }
    }
    readings.push(await readMemory(reader, options.threads));
    return report(rows, readings, options.threads, reader.by);
  } finally {
    await reader.close();
  }
}

async function readMemory(reader: MemoryReader, threadCounts: readonly number[]): Promise<Reading> {
  const reading = new Map<number, number[]>();
  for (const threads of threadCounts) reading.set(threads, await reader.measure(threads));
  return reading;
}

async function measure(
  pool: BenchThreads,
  { op, format, rows, bytes, flops, work }: KernelCase,
  threads: number,
  seconds: number,
): Promise<Omit<MeasuredRow, 'backend' | 'reading'>> {
  const works = Array.from({ length: threads }, (_, thread) => work(thread));
  const time = await pool.measure(works, seconds);
  const rate = (count: number): number => (count * threads) / time / 1e9;
  return { op, format, rows, threads, gb_per_s: rate(bytes), gflops: flops === null ? null : rate(flops) };
}

function report(
  rows: readonly MeasuredRow[],
  readings: readonly Reading[],
  threadCounts: readonly number[],
  by: string,
): KernelReport {
  const medianOf = (some: readonly Reading[], threads: number): number =>
    median(some.flatMap((reading) => reading.get(threads) ?? []));
  return {
    ...benchMachine(),
    memory_gb_per_s: Object.fromEntries(threadCounts.map((threads) => [threads, rounded(medianOf(readings, threads))])),
    memory_read_by: by,
    rows: rows.map(({ gb_per_s, gflops, reading, ...row }) => ({
      ...row,
      gb_per_s: rounded(gb_per_s),
      gflops: gflops === null ? null : rounded(gflops),
      of_memory: rounded(gb_per_s / medianOf(readings.slice(reading, reading + 2), row.threads), 3),
    })),
  };
}

/** The report as lines for people. */
function table(report: KernelReport): string {
  const { memory_gb_per_s, memory_read_by, rows } = report;
  const memory = Object.entries(memory_gb_per_s).map(([threads, rate]) => `${threads} threads ${rate} GB/s`);
  const columns = ['op', 'format', 'rows', 'backend', 'threads', 'gb_per_s', 'gflops', 'of_memory'] as const;
  const cells = rows.map((row) => columns.map((column) => String(row[column] ?? '-')));
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((line) => line[i]!.length)));
  const lines = [columns, ...cells].map((line) =>
    line.map((cell, i) => (i < 2 || i === 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
  return `${machineLine(report)}\nmemory, read by ${memory_read_by}: ${memory.join(', ')}\n\n${lines.join('\n')}\n`;
}

/** An option's value as a list of what `one` accepts, each once. */
function list<T>(one: (text: string) => T): (text: string) => T[] {
  return (text) => [...new Set(text.split(',').map((part) => one(part.trim())))];
}

function formats(text: string): WeightFormat[] {
  if (text === 'all') return Object.keys(WEIGHT_FORMATS).filter(isWeightFormat);
  return list((name) => {
    if (isWeightFormat(name)) return name;
    throw new InvalidArgumentError(`"all" or some of ${Object.keys(WEIGHT_FORMATS).join(',')} are expected.`);
  })(text);
}

function backend(text: string): BackendName {
  const found = BACKENDS.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`some of ${BACKENDS.join(',')} are expected.`);
  return found;
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-kernels')
    .description('Measure the kernels on this machine, beside the speed of its memory.')
    .option('--formats <names>', 'weight formats, or "all"', formats, ['Q4_0', 'Q4_K'])
    .option('--rows <counts>', 'batch sizes of the matrix products', list(integer(1, 256)), [1, 2, 4, 8, 16, 48, 64])
    .option('--backends <names>', 'default: native and wasm, as far as they are built', list(backend))
    .option('--threads <counts>', 'thread counts', list(integer(1, 256)), [1, 2])
    .option('--seconds <s>', 'to measure each row of the report for', decimal(0, 600), 0.3)
    .option(
      '--bytes <n>',
      'of weights a thread; less than the caches hold measures the caches',
      integer(4096, 2 ** 32),
      BYTES,
    )
    .addOption(isaOption())
    .option('--json', 'print one JSON object')
    .parse(args);
  const { json, backends, ...options } = command.opts<
    Omit<BenchKernelsOptions, 'backends'> & { backends?: BackendName[]; json?: boolean }
  >();
  const wanted = backends ?? (['native', 'wasm'] as const).filter(backendAvailable);
  const missing = wanted.find((name) => !backendAvailable(name));
  if (missing !== undefined || wanted.length === 0) {
    const names = missing ?? 'native and wasm';
    throw new StarlingError('backend_unavailable', `the ${names} kernels are not built: run "npm run build"`);
  }
  const onProgress = (what: string): void => void (process.stderr.isTTY && process.stderr.write(`${what}\n`));
  const result = await benchKernels({ ...options, backends: wanted, onProgress });
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : table(result));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
