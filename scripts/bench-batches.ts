// Measures a batch of requests with a shared beginning, through a kill -9 of the server in its middle, beside the same
// requests one after the other: npm run -s bench:batches -- --json
import { realpathSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { addComputeOptions, type ComputeOptions, integer, resolveCompute } from '../coordinator/cli/options.ts';
import { StarlingError } from '../daemon/errors.ts';
import type { BackendName } from '../kernels/kernels.ts';
import {
  batchDone,
  batchTexts,
  batchWith,
  type CompletionBody,
  complete,
  createBatch,
  stepsOf,
} from './bench-batches-client.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { benchModel, quantName, shapeName } from './bench-model.ts';
import { median, rounded } from './bench-statistics.ts';
import { randomTokens } from './bench-users-work.ts';
import { MODEL_SHAPES, type ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';
import { StarlingProcess } from './starling-process.ts';

export interface BenchBatchesOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  readonly threads: number;
  readonly backend: BackendName;
  /** Bytes that the device may have resident; what does not fit streams from disk. */
  readonly memory?: number;
  readonly requests: number;
  /** Tokens that all prompts begin with, that each has beyond them, and of each answer. */
  readonly beginning: number;
  readonly rest: number;
  readonly tokens: number;
  /** Requests that are also asked one after the other, half of them before the batch and half after it. */
  readonly alone: number;
}

export interface BatchesReport extends BenchBatchesOptions, BenchMachine {
  /** Results that were there when the server was killed. */
  readonly killed_at: number;
  /** Of answers; that of the batch over both of the server's lives. */
  readonly batch_tokens_per_second: number;
  /** By the median request, its beginning found in the cache. */
  readonly alone_tokens_per_second: number;
  /** By the median request, each with a beginning of its own. */
  readonly uncached_tokens_per_second: number;
  /** The batch to those. */
  readonly times_alone: number;
  readonly times_uncached: number;
  /** Of the server's second life: a pass serves a row of each text, or several of a prompt. */
  readonly rows_per_pass: number;
}

const START_MS = 120_000;
const CONTEXT = 512;

/** Asks for a batch and for single requests of it, of a server that is killed when half of the results are there. */
export async function benchBatches(options: BenchBatchesOptions): Promise<BatchesReport> {
  const { path } = await benchModel(options);
  const home = await mkdtemp(join(tmpdir(), 'starling-bench-home-'));
  const requests = Array.from({ length: options.requests }, (_, i) => requestOf(options, i, 0));
  const half = Math.ceil(options.alone / 2);
  let served = await Served.start(path, home, options);
  try {
    const before = await oneByOne(served.url, options, 0, half);
    let started = performance.now();
    const id = await createBatch(served.url, requests);
    const { request_counts: killed } = await batchWith(served.url, id, Math.ceil(options.requests / 2));
    let batchMs = performance.now() - started;
    await served.kill();

    served = await Served.start(path, home, options);
    started = performance.now();
    const { output_file_id } = await batchDone(served.url, id);
    batchMs += performance.now() - started;
    const { steps, rows } = await stepsOf(served.url);
    const texts = await batchTexts(served.url, output_file_id!, options.requests);
    const after = await oneByOne(served.url, options, half, options.alone);

    const alone = [...before, ...after];
    for (const [i, { text }] of alone.entries()) {
      if (texts[i] !== text)
        throw new StarlingError('internal', `request ${i} has another text in the batch than alone`);
    }
    const batchRate = (options.requests * options.tokens * 1000) / batchMs;
    const rate = (times: readonly number[]): number => (options.tokens * 1000) / median(times);
    const aloneRate = rate(alone.map(({ ms }) => ms));
    const uncachedRate = rate(alone.map(({ uncachedMs }) => uncachedMs));
    return {
      ...benchMachine(options.backend),
      ...options,
      killed_at: killed.completed,
      batch_tokens_per_second: rounded(batchRate, 1),
      alone_tokens_per_second: rounded(aloneRate, 1),
      uncached_tokens_per_second: rounded(uncachedRate, 1),
      times_alone: rounded(batchRate / aloneRate, 2),
      times_uncached: rounded(batchRate / uncachedRate, 2),
      rows_per_pass: rounded(rows / steps, 1),
    };
  } finally {
    await served.stop();
    await rm(home, { recursive: true, force: true });
  }
}

/** A `starling serve` of its own. */
class Served {
  readonly url: string;
  readonly #process: StarlingProcess;

  private constructor(url: string, process: StarlingProcess) {
    this.url = url;
    this.#process = process;
  }

  static async start(model: string, home: string, { backend, threads, memory }: BenchBatchesOptions): Promise<Served> {
    const args = ['--no-discovery', '--port', '0', '--context', `${CONTEXT}`, '--log-level', 'warn'];
    const compute = ['--backend', backend, '--threads', `${threads}`];
    const budget = memory === undefined ? [] : ['--memory', `${memory}`];
    const process = new StarlingProcess(['serve', model, ...args, ...compute, ...budget], { home });
    try {
      return new Served((await process.waitFor(/is served at (\S+)\/v1/, START_MS))[1]!, process);
    } catch (thrown) {
      await process.stop();
      throw thrown;
    }
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}

interface Alone {
  readonly text: string;
  readonly ms: number;
  /** With a beginning that no other request has. */
  readonly uncachedMs: number;
}

/** Some of the batch's requests, each when the one before is answered. */
async function oneByOne(url: string, options: BenchBatchesOptions, from: number, to: number): Promise<Alone[]> {
  const timed = async (body: CompletionBody): Promise<{ text: string; ms: number }> => {
    const start = performance.now();
    const text = await complete(url, body);
    return { text, ms: performance.now() - start };
  };
  // The shared beginning, and what runs in JavaScript: warm, as in a server.
  for (let i = 0; i < WARM_UP; i++) await complete(url, requestOf(options, from, 0));
  const heard: Alone[] = [];
  for (let i = from; i < to; i++) {
    const { ms: uncachedMs } = await timed(requestOf(options, i, 1 + i));
    heard.push({ ...(await timed(requestOf(options, i, 0))), uncachedMs });
  }
  return heard;
}

const WARM_UP = 3;

/**
 * A request, drawn at random, so that a text of a model with random weights does not repeat itself and nothing is
 * drafted.
 * @param beginning which of the beginnings its prompt has; 0 is the shared one
 */
function requestOf({ shape, beginning: length, rest, tokens }: BenchBatchesOptions, i: number, beginning: number) {
  const { vocabSize } = MODEL_SHAPES[shape];
  return {
    model: 'starling',
    prompt: [...randomTokens(length, vocabSize, beginning), ...randomTokens(rest, vocabSize, 1_000_000 + i)],
    max_tokens: tokens,
    ignore_eos: true,
    temperature: 1,
    top_k: 40,
    seed: i,
  };
}

/** The report as lines for people. */
function text(report: BatchesReport): string {
  const { shape, quant, backend, threads, requests, beginning, rest, tokens } = report;
  return (
    `${machineLine(report)}\n${shape} ${quant}, ${backend}, ${threads} threads\n` +
    `${requests} requests of ${beginning} tokens in common and ${rest} of their own, answers of ${tokens}; killed at ${report.killed_at}\n` +
    `as a batch            ${report.batch_tokens_per_second} tokens/s, ${report.rows_per_pass} rows a pass\n` +
    `one after the other   ${report.alone_tokens_per_second} tokens/s; the batch is ${report.times_alone} times as fast\n` +
    `without common pages  ${report.uncached_tokens_per_second} tokens/s; the batch is ${report.times_uncached} times as fast\n`
  );
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-batches')
    .description('Measure a batch on a synthetic model, served by "starling serve", which is killed in its middle.')
    .option('--shape <name>', 'shape of the model', shapeName, 'tinyllama-1.1b')
    .option('--quant <type>', 'type of its matrices', quantName, 'Q4_0')
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--requests <n>', 'of the batch', integer(2, 50_000), 1000)
    .option('--beginning <n>', 'tokens that all prompts have in common', integer(0, CONTEXT), 200)
    .option('--rest <n>', 'tokens of each prompt beyond them', integer(1, CONTEXT), 16)
    .option('--tokens <n>', 'tokens of each answer', integer(1, CONTEXT), 32)
    .option('--alone <n>', 'of the requests, also asked one after the other', integer(2, 1000), 20)
    .addOption(isaOption())
    .option('--json', 'print one JSON object');
  addComputeOptions(command, 'warn').parse(args);
  const { json, logLevel: _, ...options } = command.opts<BenchBatchesOptions & ComputeOptions & { json?: boolean }>();
  const report = await benchBatches({ ...options, ...(await resolveCompute(command.opts<ComputeOptions>())) });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
