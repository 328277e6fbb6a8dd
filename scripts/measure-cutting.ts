// Measures the coordinator's memory and speed while it cuts a model and gives the tiles to two devices:
// npm run -s measure:cutting -- --bytes 2GB --quant Q8_0
import { realpathSync } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { size } from '../coordinator/cli/options.ts';
import { openGguf } from '../coordinator/model/gguf/reader.ts';
import { ClusterKey, importKey } from '../daemon/cluster-key.ts';
import { homePaths } from '../daemon/paths.ts';
import { sourceBytes, WEIGHT_FORMATS, type WeightFormat } from '../kernels/formats.ts';
import { MODEL_SHAPES, type ModelShape } from './model-shapes.ts';
import { StarlingProcess } from './starling-process.ts';
import { writeSyntheticModel } from './synthetic-model.ts';
import { watchMemory } from './watch-memory.ts';

export interface MeasureCuttingOptions {
  /** About the size of the model file. */
  readonly bytes: number;
  readonly quant: WeightFormat;
  /** Where the model and the tiles are written, about twice the model's size; removed at the end. */
  readonly folder?: string;
}

export interface CuttingReport {
  readonly model_bytes: number;
  readonly largest_tensor_bytes: number;
  /** From the start of the process until all tiles are delivered. */
  readonly coordinator_peak_rss_mb_while_cutting: number;
  /** Until the model is served. */
  readonly coordinator_peak_rss_mb: number;
  readonly limit_mb: number;
  /** Of cutting and delivering, as the coordinator tells. */
  readonly seconds: number;
  /** Of tiles, which are about as large as the model. */
  readonly mb_per_s: number;
}

/** What the coordinator may use besides the largest tensor. */
const ALLOWANCE_MB = 250;
const MB = 1e6;
const START_MS = 30_000;
const SERVE_MS = 900_000;

/**
 * Serves a synthetic model with two daemons, one of which has the coordinator's home and so computes this device's
 * share: the coordinator itself then cuts, and keeps the head only. Linux only, as it reads /proc.
 */
export async function measureCutting(options: MeasureCuttingOptions): Promise<CuttingReport> {
  const folder = await mkdtemp(join(options.folder ?? tmpdir(), 'starling-cutting-'));
  const started: StarlingProcess[] = [];
  const start = (args: readonly string[], home: string): StarlingProcess => {
    const launched = new StarlingProcess(args, { home });
    started.push(launched);
    return launched;
  };
  try {
    const model = join(folder, 'model.gguf');
    await writeSyntheticModel({ shape: shapeFor(options.bytes, options.quant), quant: options.quant, out: model });
    await settle(model);
    const key = ClusterKey.generate();
    const homes = ['own', 'other'].map((name) => join(folder, name));
    const ports: string[] = [];
    for (const home of homes) {
      await importKey(homePaths({ STARLING_HOME: home }).keyFile, key);
      const args = ['daemon', '--host', '127.0.0.1', '--port', '0', '--no-discovery', '--threads', '1'];
      const daemon = start(args, home);
      ports.push((await daemon.waitFor(/listens on \S+:(\d+),/, START_MS))[1]!);
    }
    const peers = ports.flatMap((port) => ['--peer', `127.0.0.1:${port}`]);
    const args = ['serve', model, '--no-discovery', '--port', '0', '--threads', '1', '--context', '256', ...peers];
    const serve = start(args, homes[0]!);
    const memory = watchMemory(serve.pid);
    try {
      const delivered = await serve.waitFor(/"delivered":(\d+),"seconds":([\d.]+)/, SERVE_MS);
      const whileCutting = await memory.peak();
      await serve.waitFor(/is served at \S+ by 2 devices/, SERVE_MS);
      const bytes = Number(delivered[1]);
      const seconds = Number(delivered[2]);
      const largest = await largestTensor(model);
      return {
        model_bytes: (await stat(model)).size,
        largest_tensor_bytes: largest,
        coordinator_peak_rss_mb_while_cutting: rounded(whileCutting / MB),
        coordinator_peak_rss_mb: rounded((await memory.peak()) / MB),
        limit_mb: rounded(ALLOWANCE_MB + largest / MB),
        seconds,
        mb_per_s: rounded(bytes / MB / seconds),
      };
    } finally {
      memory.stop();
    }
  } finally {
    for (const launched of started.reverse()) await launched.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * A model of about `bytes` bytes with the layers of a well-known one, and a vocabulary so small that a layer holds the
 * largest tensor.
 */
function shapeFor(bytes: number, quant: WeightFormat): ModelShape {
  const like = bytes >= 1e9 ? MODEL_SHAPES['llama-3.1-8b'] : MODEL_SHAPES['llama-3.2-1b'];
  const { dim, heads, kvHeads, headDim, ffDim } = like;
  const vocabSize = 4096;
  const layerValues = dim * headDim * (2 * heads + 2 * kvHeads) + 3 * dim * ffDim;
  const valueBytes = sourceBytes(quant, dim) / dim;
  const layers = Math.max(1, Math.round((bytes / valueBytes - 2 * vocabSize * dim) / layerValues));
  return { ...like, layers, vocabSize, tied: false };
}

/** Has a file written to disk, so that the disk is not still busy with it while something is measured. */
async function settle(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function largestTensor(model: string): Promise<number> {
  const gguf = await openGguf(model);
  try {
    return Math.max(...[...gguf.tensors.values()].map(({ byteLength }) => byteLength));
  } finally {
    await gguf.close();
  }
}

const rounded = (value: number): number => Math.round(value * 10) / 10;

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('measure-cutting')
    .description("Measure the coordinator's memory and speed while a model is cut for two devices.")
    .option('--bytes <size>', 'about the size of the model', size(1e7, 1e12), 2e9)
    .addOption(new Option('--quant <type>', 'of its matrices').choices(Object.keys(WEIGHT_FORMATS)).default('Q8_0'))
    .option('--folder <path>', "where to work; takes twice the model's size (default: the system's temporary folder)")
    .option('--json', 'print one JSON object')
    .parse(args);
  const { json, ...options } = command.opts<MeasureCuttingOptions & { json?: boolean }>();
  const report = await measureCutting(options);
  const lines = Object.entries(report).map(([name, value]) => `${name.padEnd(40)} ${value}\n`);
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : lines.join(''));
  if (report.coordinator_peak_rss_mb_while_cutting > report.limit_mb) process.exitCode = 1;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
