// Measures prefill and decode on a synthetic model, beside llama.cpp where that is wanted:
// npm run -s bench:decode -- --shape tinyllama-1.1b --quant Q4_0 --threads 2 --peer llama.cpp
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { addComputeOptions, type ComputeOptions, integer, resolveCompute } from '../coordinator/cli/options.ts';
import { openGguf } from '../coordinator/model/gguf/reader.ts';
import { readModelSpec } from '../coordinator/model/model-spec.ts';
import { tileTable } from '../coordinator/tiles/tile-table.ts';
import { expertsOf } from '../daemon/engine/engine-spec.ts';
import { networkOf } from '../daemon/tile/kinds/expert.ts';
import { tileLayout } from '../daemon/tile/tile.ts';
import { phaseOf } from '../daemon/tile/tile-kinds.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { type DecodeTask, type DecodeTimes, prefillRate, runChild, WARM_UP, type WarmedTask } from './bench-child.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { benchFolder, benchModel, benchTokens, quantName, shapeName } from './bench-model.ts';
import type { OwnTask } from './bench-own.ts';
import { installPeer, PEER_VERSION, type PeerTimes, peerWithin, runPeer } from './bench-peer.ts';
import { median, rounded, type Spread, spread } from './bench-statistics.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';

export interface BenchDecodeOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  readonly devices: number;
  /** Of each device. */
  readonly threads: number;
  readonly backend: BackendName;
  /** Tokens. */
  readonly prompt: number;
  readonly tokens: number;
  readonly runs: number;
  /** Whether to measure llama.cpp too, on one device. */
  readonly peer: boolean;
  /** That the peer, too, may use no more than. */
  readonly isa?: string;
}

/** What one program reached: the medians over its runs, and from where to where they went. */
export interface DecodeResult {
  readonly prefill_tokens_per_second: number;
  readonly prefill_tokens_per_second_spread: Range;
  /** The median token of each run. */
  readonly decode_ms: number;
  readonly decode_ms_spread: Range;
}

export type Range = readonly [least: number, most: number];

export interface PeerResult extends DecodeResult {
  readonly name: 'llama.cpp';
  readonly release: string;
  readonly node_llama_cpp: string;
  readonly instruction_sets: string;
}

export interface DecodeReport extends Omit<BenchDecodeOptions, 'peer' | 'layers' | 'isa'>, DecodeResult, BenchMachine {
  readonly layers: number;
  readonly model_bytes: number;
  /** Of weights, for a token that is decoded: of experts those that it uses. */
  readonly touched_bytes: number;
  readonly touched_gb_per_second: number;
  readonly peer: PeerResult | null;
  /** Above 1 Starling is the faster one. Of the runs in pairs, one after the other. */
  readonly ratio_decode: number | null;
  readonly ratio_decode_spread: Range | null;
  readonly ratio_prefill: number | null;
  readonly ratio_prefill_spread: Range | null;
}

/**
 * Runs Starling, the peer, Starling, … each in processes of its own, on the same file, tokens and context.
 * @throws StarlingError invalid_argument when the tokens exceed the context; backend_unavailable without the peer
 */
export async function benchDecode(options: BenchDecodeOptions): Promise<DecodeReport> {
  const { shape, quant, devices, threads, backend, prompt, tokens, runs } = options;
  const model = await benchModel(options);
  const all = benchTokens(shape, model.context, prompt + tokens);
  const task: WarmedTask = {
    model: model.path,
    context: model.context,
    threads,
    prompt: all.slice(0, prompt),
    next: all.slice(prompt),
    warmUp: WARM_UP,
  };
  const installed = options.peer ? await installPeer() : null;
  const peerFolder =
    installed === null || options.isa === undefined ? installed : await peerWithin(installed, options.isa);
  const own: DecodeTimes[] = [];
  const peer: PeerTimes[] = [];
  for (let run = 0; run < runs; run++) {
    own.push(await runOwn({ ...task, devices, backend, storeDir: join(benchFolder(), 'tiles') }));
    if (peerFolder !== null) peer.push(await runPeer(peerFolder, task));
  }
  const [first] = peer;
  const touched = await touchedBytes(model.path);
  const pairs = peer.map((times, i) => [own[i]!, times] as const);
  const decode = pairs.length === 0 ? null : spread(pairs.map(([ours, theirs]) => tokenMs(theirs) / tokenMs(ours)));
  const prefill =
    pairs.length === 0 ? null : spread(pairs.map(([ours, theirs]) => theirs.prefill_ms / ours.prefill_ms));
  return {
    ...benchMachine(backend),
    shape,
    layers: model.layers,
    quant,
    model_bytes: model.bytes,
    touched_bytes: touched,
    touched_gb_per_second: rounded(touched / 1e6 / median(own.map(tokenMs))),
    devices,
    threads,
    backend,
    prompt,
    tokens,
    runs,
    ...decodeResult(task, own),
    peer:
      first === undefined
        ? null
        : {
            name: 'llama.cpp',
            release: first.release,
            node_llama_cpp: PEER_VERSION,
            instruction_sets: first.instruction_sets,
            ...decodeResult(task, peer),
          },
    ratio_decode: decode === null ? null : rounded(decode.median, 3),
    ratio_decode_spread: decode === null ? null : range(decode, 3),
    ratio_prefill: prefill === null ? null : rounded(prefill.median, 3),
    ratio_prefill_spread: prefill === null ? null : range(prefill, 3),
  };
}

/** Bytes of tiles that a decoded token takes. */
async function touchedBytes(path: string): Promise<number> {
  const gguf = await openGguf(path);
  try {
    const { tiles, engine } = tileTable(await readModelSpec(gguf));
    return tiles.reduce((sum, tile) => {
      const experts = tile.kind === 'expert' ? expertsOf(engine, tile.layer, phaseOf(engine, tile)) : null;
      const isRouted = experts !== null && networkOf(experts, tile.first) < experts.experts;
      return sum + tileLayout(tile).bytes * (isRouted ? experts.used / experts.experts : 1);
    }, 0);
  } finally {
    await gguf.close();
  }
}

/** One run of Starling on the task. */
export function runOwn(task: OwnTask): Promise<DecodeTimes> {
  return runChild(fileURLToPath(new URL('./bench-own.js', import.meta.url)), task);
}

export const tokenMs = ({ token_ms }: DecodeTimes): number => median(token_ms);

export const range = ({ min, max }: Spread, digits = 2): Range => [rounded(min, digits), rounded(max, digits)];

/** The medians of some runs of a task. */
export function decodeResult(task: DecodeTask, runs: readonly DecodeTimes[]): DecodeResult {
  const prefill = spread(runs.map((times) => prefillRate(task, times)));
  const decode = spread(runs.map(tokenMs));
  return {
    prefill_tokens_per_second: rounded(prefill.median),
    prefill_tokens_per_second_spread: range(prefill),
    decode_ms: rounded(decode.median),
    decode_ms_spread: range(decode),
  };
}

/** The report as lines for people. */
function text(report: DecodeReport): string {
  const { shape, layers, quant, devices, threads, backend, prompt, tokens, runs, peer } = report;
  const between = ([least, most]: Range): string => `(${least}..${most})`;
  const line = (name: string, of: DecodeResult): string =>
    `${name.padEnd(16)} decode ${of.decode_ms} ms ${between(of.decode_ms_spread)}  ` +
    `prefill ${of.prefill_tokens_per_second} tokens/s ${between(of.prefill_tokens_per_second_spread)}\n`;
  const lines = [
    `${machineLine(report)}\n${shape} ${quant}, ${layers} layers, ${prompt} + ${tokens} tokens, ${runs} runs, ${threads} threads\n`,
    line(`starling ${backend}${devices > 1 ? ` × ${devices}` : ''}`, report),
    `weights          ${rounded(report.touched_bytes / 1e6)} MB a token, ${report.touched_gb_per_second} GB/s\n`,
  ];
  if (peer !== null && report.ratio_decode_spread !== null && report.ratio_prefill_spread !== null) {
    lines.push(line(`${peer.name} ${peer.release}`, peer));
    lines.push(`llama.cpp uses   ${peer.instruction_sets}\n`);
    lines.push(
      `ratio            decode ${report.ratio_decode} ${between(report.ratio_decode_spread)}  ` +
        `prefill ${report.ratio_prefill} ${between(report.ratio_prefill_spread)}  (above 1: starling is faster)\n`,
    );
  }
  return lines.join('');
}

type CommandOptions = Omit<BenchDecodeOptions, 'peer' | 'devices' | 'threads' | 'backend'> &
  ComputeOptions & { readonly devices: number; readonly peer?: 'llama.cpp'; readonly json?: boolean };

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-decode')
    .description('Measure prefill and decode of a synthetic model on a throw-away cluster of this machine, warmed up.')
    .requiredOption('--shape <name>', 'shape of the model', shapeName)
    .requiredOption('--quant <type>', 'type of its matrices', quantName)
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--devices <n>', 'this process and n − 1 daemons', integer(1, 64), 1)
    .option('--prompt <n>', 'tokens of the prompt', integer(1, 2 ** 20), 128)
    .option('--tokens <n>', 'tokens to decode after it', integer(1, 2 ** 20), 32)
    .option('--runs <n>', 'times to measure', integer(1, 1000), 3)
    .addOption(new Option('--peer <name>', 'measure this too, in turn, on one device').choices(['llama.cpp']))
    .addOption(isaOption())
    .option('--json', 'print one JSON object');
  addComputeOptions(command, 'warn').parse(args);
  const { json, peer, logLevel: _, ...options } = command.opts<CommandOptions>();
  const report = await benchDecode({
    ...options,
    ...(await resolveCompute(command.opts<CommandOptions>())),
    peer: peer !== undefined,
  });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
