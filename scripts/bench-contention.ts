// Measures decode with one and with two threads while another process keeps a core busy, as home computers do:
// npm run -s bench:contention
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { integer, resolveCompute } from '../coordinator/cli/options.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { WARM_UP } from './bench-child.ts';
import { type Range, range, runOwn, tokenMs } from './bench-decode.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { benchFolder, benchModel, benchTokens, quantName, shapeName } from './bench-model.ts';
import { rounded, spread } from './bench-statistics.ts';
import { keepCoreBusy } from './busy-core.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';

export interface BenchContentionOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers: number;
  readonly backend: BackendName;
  /** Tokens to decode in each run. */
  readonly tokens: number;
  readonly runs: number;
}

export interface ContentionReport extends BenchContentionOptions, BenchMachine {
  /** Medians over the runs, by threads. */
  readonly decode_ms: { readonly '1': number; readonly '2': number };
  readonly decode_ms_spread: { readonly '1': Range; readonly '2': Range };
  /** Two threads over one: above 1 the second thread makes it slower. Of the runs in pairs, one after the other. */
  readonly ratio_two_to_one: number;
  readonly ratio_two_to_one_spread: Range;
}

const PROMPT = 16;

/** Decodes with one thread, with two, with one, … all under the same load. */
export async function benchContention(options: BenchContentionOptions): Promise<ContentionReport> {
  const { shape, backend, tokens, runs } = options;
  const model = await benchModel(options);
  const all = benchTokens(shape, model.context, PROMPT + tokens);
  const decode = async (threads: number): Promise<number> => {
    const { path, context } = model;
    const sequence = { prompt: all.slice(0, PROMPT), next: all.slice(PROMPT), warmUp: WARM_UP };
    const storeDir = join(benchFolder(), 'tiles');
    return tokenMs(await runOwn({ model: path, context, threads, ...sequence, devices: 1, backend, storeDir }));
  };
  const [one, two]: [number[], number[]] = [[], []];
  const stop = await keepCoreBusy();
  try {
    for (let run = 0; run < runs; run++) {
      one.push(await decode(1));
      two.push(await decode(2));
    }
  } finally {
    await stop();
  }
  const spreads = { '1': spread(one), '2': spread(two) };
  const ratio = spread(two.map((ms, i) => ms / one[i]!));
  return {
    ...benchMachine(options.backend),
    ...options,
    decode_ms: { '1': rounded(spreads['1'].median), '2': rounded(spreads['2'].median) },
    decode_ms_spread: { '1': range(spreads['1']), '2': range(spreads['2']) },
    ratio_two_to_one: rounded(ratio.median, 3),
    ratio_two_to_one_spread: range(ratio, 3),
  };
}

function text(report: ContentionReport): string {
  const { decode_ms, decode_ms_spread } = report;
  const line = (threads: '1' | '2'): string =>
    `${threads} threads  decode ${decode_ms[threads]} ms (${decode_ms_spread[threads].join('..')})\n`;
  return (
    `${machineLine(report)}, one core busy\n${report.shape} ${report.quant}, ${report.layers} layers, ${report.backend}\n` +
    `${line('1')}${line('2')}two to one ${report.ratio_two_to_one} (${report.ratio_two_to_one_spread.join('..')})\n`
  );
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-contention')
    .description('Measure decode with one and two threads while another process keeps one core busy.')
    .option('--shape <name>', 'shape of the model', shapeName, 'llama-3.2-1b')
    .option('--quant <type>', 'type of its matrices', quantName, 'Q4_0')
    .option('--layers <n>', 'number of layers', integer(1, 1024), 4)
    .option('--tokens <n>', 'tokens to decode in each run', integer(1, 1000), 32)
    .option('--runs <n>', 'times to measure each', integer(1, 1000), 3)
    .addOption(isaOption())
    .option('--json', 'print one JSON object')
    .parse(args);
  const { json, ...options } = command.opts<Omit<BenchContentionOptions, 'backend'> & { json?: boolean }>();
  const { backend } = await resolveCompute({ logLevel: 'warn' });
  const report = await benchContention({ ...options, backend });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
