// Measures what a format of the answer costs: the masks of a large vocabulary, and a token with a format beside one
// without: npm run -s bench:constraint -- --json
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { addComputeOptions, type ComputeOptions, integer, resolveCompute } from '../coordinator/cli/options.ts';
import type { Constraint } from '../coordinator/constraint/constraint.ts';
import { FormatCompiler } from '../coordinator/constraint/format-compiler.ts';
import type { OutputFormat } from '../coordinator/constraint/output-format.ts';
import { OutputFormats } from '../coordinator/constraint/output-formats.ts';
import { Generator } from '../coordinator/generation/generator.ts';
import { GREEDY } from '../coordinator/generation/sampler.ts';
import type { TextCodec } from '../coordinator/generation/text-codec.ts';
import { tokenizerCodec } from '../coordinator/generation/tokenizer-codec.ts';
import type { LanguageModel } from '../coordinator/language-model.ts';
import { openGguf } from '../coordinator/model/gguf/reader.ts';
import { createTokenizer } from '../coordinator/model/tokenizer/tokenizer.ts';
import { readVocabulary } from '../coordinator/model/tokenizer/vocabulary.ts';
import { MAX_ROWS } from '../daemon/engine/engine-spec.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { withCluster } from './bench-cluster.ts';
import { BENCH_FORMATS, LONG_FORMATS } from './bench-formats.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { benchFolder, benchModel, quantName, shapeName } from './bench-model.ts';
import { median, percentile, rounded, spread } from './bench-statistics.ts';
import { benchLog, randomTokens } from './bench-users-work.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';
import { mix } from './random-words.ts';

export interface BenchConstraintOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  readonly threads: number;
  readonly backend: BackendName;
  /** A model file whose vocabulary the masks are of; the model's own by default. */
  readonly vocabulary?: string;
  /** Masks of each format. */
  readonly masks: number;
  /** Texts with and without a format, in turn. */
  readonly pairs: number;
  readonly tokens: number;
}

export interface MaskFigures {
  readonly format: string;
  /** From the request to the first mask. */
  readonly start_ms: number;
  /** Of masks of places that the text had not been at before, and of all. */
  readonly new_masks: number;
  readonly new_ms: number;
  readonly mean_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
}

export interface TokenFigures {
  readonly format: string;
  /** Medians over the pairs. */
  readonly ms_per_token: number;
  readonly ms_per_pass: number;
  readonly plain_ms_per_token: number;
  readonly tokens_per_pass: number;
  /** Of all pairs: below 1 a token is faster with the format. */
  readonly token_ratio: number;
  /** Time of a pass with the format ÷ of one without, which gives one token. */
  readonly pass_ratio: number;
  readonly pass_ratio_spread: readonly [number, number];
}

export interface ConstraintReport extends BenchConstraintOptions, BenchMachine {
  readonly vocabulary_tokens: number;
  readonly index_ms: number;
  readonly formats: readonly MaskFigures[];
  readonly texts: readonly TokenFigures[];
}

export async function benchConstraint(options: BenchConstraintOptions): Promise<ConstraintReport> {
  const { threads, backend } = options;
  const { path, context } = await benchModel(options);
  const vocabulary = await codecOf(options.vocabulary ?? path);
  const started = performance.now();
  await indexed(vocabulary);
  const index = performance.now() - started;
  const formats: MaskFigures[] = [];
  for (const [name, format] of Object.entries(BENCH_FORMATS)) {
    formats.push(await measureMasks(name, format, vocabulary, options.masks));
  }
  compiler.stop();
  const { codec } = await codecOf(path);
  const task = { model: path, context, devices: 1, threads, backend, storeDir: join(benchFolder(), 'tiles') };
  const texts = await withCluster(task, async (cluster) => {
    const figures: TokenFigures[] = [];
    for (const [name, format] of Object.entries(LONG_FORMATS)) {
      if (options.pairs > 0) figures.push(await measurePairs(name, format, cluster, codec, options));
    }
    return figures;
  });
  return {
    ...benchMachine(backend),
    ...options,
    vocabulary_tokens: vocabulary.size,
    index_ms: rounded(index, 1),
    formats,
    texts,
  };
}

interface Vocabulary {
  readonly codec: TextCodec;
  readonly size: number;
}

async function codecOf(path: string): Promise<Vocabulary> {
  const file = await openGguf(path);
  try {
    const tokenizer = createTokenizer(readVocabulary(file.metadata));
    return { codec: tokenizerCodec(tokenizer), size: tokenizer.vocabSize };
  } finally {
    await file.close();
  }
}

const compiler = new FormatCompiler();

/** Formats of a vocabulary that has been indexed. */
async function indexed({ codec, size }: Vocabulary): Promise<OutputFormats> {
  const formats = new OutputFormats(codec, size, compiler);
  await formats.constraint({ kind: 'choice', options: ['x'] });
  return formats;
}

/** Writes texts of random tokens, two times over, so that the second finds code compiled; the masks are its own. */
async function measureMasks(
  name: string,
  format: OutputFormat,
  vocabulary: Vocabulary,
  masks: number,
): Promise<MaskFigures> {
  let times: number[] = [];
  let fresh: number[] = [];
  let start = 0;
  for (const round of [1, 2]) {
    const formats = await indexed(vocabulary);
    const began = performance.now();
    const empty = await formats.constraint(format);
    empty.allowed();
    start = performance.now() - began;
    [times, fresh] = [[], []];
    const seen = new Set<Uint32Array>();
    for (let constraint = empty, at = 0; times.length < masks; at++) {
      const asked = performance.now();
      const mask = constraint.allowed();
      const ms = performance.now() - asked;
      times.push(ms);
      if (!seen.has(mask)) fresh.push(ms);
      seen.add(mask);
      constraint = next(constraint, mask, mix(at + round)) ?? empty;
    }
  }
  return {
    format: name,
    start_ms: rounded(start, 1),
    new_masks: fresh.length,
    new_ms: rounded(median(fresh), 3),
    mean_ms: rounded(times.reduce((sum, ms) => sum + ms, 0) / times.length, 3),
    p99_ms: rounded(percentile(times, 0.99), 3),
    max_ms: rounded(Math.max(...times), 3),
  };
}

/** Goes on with the forced token, or with the first allowed one from a random place on; null where the text ends. */
function next(constraint: Constraint, mask: Uint32Array, random: number): Constraint | null {
  const forced = constraint.forced();
  if (forced !== null) return constraint.accept(forced);
  const bits = mask.length * 32;
  for (let i = 0; i < bits; i++) {
    const token = ((random >>> 0) + i) % bits;
    if ((mask[token >>> 5]! >>> (token & 31)) & 1) return constraint.accept(token);
  }
  return null;
}

interface Text {
  readonly tokens: number;
  /** From the first token on. */
  readonly ms: number;
  readonly passes: number;
}

async function measurePairs(
  name: string,
  format: OutputFormat,
  model: LanguageModel,
  codec: TextCodec,
  { pairs, tokens }: BenchConstraintOptions,
): Promise<TokenFigures> {
  const generator = new Generator({ model, codec, log: benchLog, promptLookup: false });
  const measured: { readonly plain: Text; readonly formatted: Text }[] = [];
  for (let pair = -1; pair < pairs; pair++) {
    const plain = (): Promise<Text> => generate(generator, model, tokens, pair);
    const formatted = (): Promise<Text> => generate(generator, model, tokens, pair, format);
    const isEven = pair % 2 === 0;
    const first = await (isEven ? plain() : formatted());
    const second = await (isEven ? formatted() : plain());
    // The first pair warms up.
    if (pair >= 0) measured.push(isEven ? { plain: first, formatted: second } : { plain: second, formatted: first });
  }
  const perToken = (text: Text): number => text.ms / (text.tokens - 1);
  const perPass = (text: Text): number => text.ms / text.passes;
  const ratio = (of: (text: Text) => number) =>
    spread(measured.map(({ plain, formatted }) => of(formatted) / perToken(plain)));
  const passes = ratio(perPass);
  return {
    format: name,
    ms_per_token: rounded(median(measured.map(({ formatted }) => perToken(formatted))), 3),
    ms_per_pass: rounded(median(measured.map(({ formatted }) => perPass(formatted))), 3),
    plain_ms_per_token: rounded(median(measured.map(({ plain }) => perToken(plain))), 3),
    tokens_per_pass: rounded(median(measured.map(({ formatted }) => (formatted.tokens - 1) / formatted.passes)), 2),
    token_ratio: rounded(ratio(perToken).median, 4),
    pass_ratio: rounded(passes.median, 4),
    pass_ratio_spread: [rounded(passes.min, 4), rounded(passes.max, 4)],
  };
}

async function generate(
  generator: Generator,
  model: LanguageModel,
  maxTokens: number,
  pair: number,
  format?: OutputFormat,
): Promise<Text> {
  const promptTokens = randomTokens(32, model.vocabSize, 3000 + pair);
  const before = generator.statistics.steps;
  const sampling = { ...GREEDY, temperature: 1, topK: 40, seed: pair };
  const ends = { ignored: true, notBefore: 0, tokens: new Set<number>() };
  const request = { promptTokens, maxTokens, sampling, stop: [], logprobs: null, ends };
  let tokens = 0;
  let startedAt = 0;
  for await (const event of generator.generate(format === undefined ? request : { ...request, format })) {
    if (event.type !== 'token') continue;
    if (tokens++ === 0) startedAt = performance.now();
  }
  const passes = generator.statistics.steps - before - Math.ceil(promptTokens.length / MAX_ROWS);
  return { tokens, ms: performance.now() - startedAt, passes };
}

/** The report as lines for people. */
function text(report: ConstraintReport): string {
  const { shape, quant, backend, threads, vocabulary_tokens, index_ms, formats, texts } = report;
  const masks = formats.map(
    (of) =>
      `${of.format}: first mask after ${of.start_ms} ms, then mean ${of.mean_ms} ms, p99 ${of.p99_ms}, most ${of.max_ms}; ` +
      `${of.new_masks} new ones, median ${of.new_ms} ms\n`,
  );
  const times = texts.map(
    (of) =>
      `${of.format}: ${of.ms_per_token} ms a token, without ${of.plain_ms_per_token} (× ${of.token_ratio}); ${of.tokens_per_pass} ` +
      `tokens a pass; a pass × ${of.pass_ratio} (${of.pass_ratio_spread.join(' to ')})\n`,
  );
  return (
    `${machineLine(report)}\n${vocabulary_tokens} tokens, indexed in ${index_ms} ms\n${masks.join('')}` +
    `${shape} ${quant}, ${backend}, ${threads} threads\n${times.join('')}`
  );
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-constraint')
    .description('Measure masks of formats, and texts with and without a format, on a synthetic model.')
    .option('--shape <name>', 'shape of the model', shapeName, 'tinyllama-1.1b')
    .option('--quant <type>', 'type of its matrices', quantName, 'Q4_0')
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--vocabulary <file>', 'a model file, for its vocabulary')
    .option('--masks <n>', 'masks of each format', integer(1, 2 ** 20), 1000)
    .option('--pairs <n>', 'texts with and without a format, in turn; 0 for masks only', integer(0, 1000), 10)
    .option('--tokens <n>', 'tokens of each text', integer(2, 2 ** 20), 64)
    .addOption(isaOption())
    .option('--json', 'print one JSON object');
  addComputeOptions(command, 'warn').parse(args);
  const {
    json,
    logLevel: _,
    ...options
  } = command.opts<BenchConstraintOptions & ComputeOptions & { json?: boolean }>();
  const report = await benchConstraint({ ...options, ...(await resolveCompute(command.opts<ComputeOptions>())) });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
