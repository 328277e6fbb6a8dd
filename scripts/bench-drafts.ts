// Measures what drafting gains where a text repeats itself, and what it costs where it does not:
// npm run -s bench:drafts -- --json
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { addComputeOptions, type ComputeOptions, integer, resolveCompute } from '../coordinator/cli/options.ts';
import { Generator } from '../coordinator/generation/generator.ts';
import { GREEDY } from '../coordinator/generation/sampler.ts';
import type { LanguageModel } from '../coordinator/language-model.ts';
import { MAX_ROWS } from '../daemon/engine/engine-spec.ts';
import { StarlingError } from '../daemon/errors.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { withCluster } from './bench-cluster.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { benchFolder, benchModel, quantName, shapeName } from './bench-model.ts';
import { median, rounded, spread } from './bench-statistics.ts';
import { benchLog, letterCodec, randomTokens } from './bench-users-work.ts';
import type { ModelShapeName } from './model-shapes.ts';
import type { Quant } from './quant-mix.ts';

export interface BenchDraftsOptions {
  readonly shape: ModelShapeName;
  readonly quant: Quant;
  readonly layers?: number;
  readonly devices: number;
  /** Of each device. */
  readonly threads: number;
  readonly backend: BackendName;
  readonly memory?: number;
  /** One measurement for each: a text drawn from so many tokens; 0 for the whole vocabulary. */
  readonly choices: readonly number[];
  /** Of each text, with and without drafts. */
  readonly pairs: number;
  /** Tokens. */
  readonly prompt: number;
  readonly tokens: number;
}

export interface DraftFigures {
  readonly choices: number;
  /** Medians over the pairs; milliseconds from the first token on. */
  readonly undrafted_ms_per_token: number;
  readonly drafted_ms_per_token: number;
  /** A text's time with drafts ÷ without, of all pairs: below 1 drafting is faster. */
  readonly time_ratio: number;
  readonly time_ratio_quartiles: readonly [number, number];
  readonly time_ratio_spread: readonly [number, number];
  readonly tokens_per_pass: number;
  /** Of all texts. */
  readonly drafted_tokens: number;
  readonly accepted_tokens: number;
}

export interface DraftsReport extends BenchDraftsOptions, BenchMachine {
  readonly texts: readonly DraftFigures[];
}

export async function benchDrafts(options: BenchDraftsOptions): Promise<DraftsReport> {
  const { devices, threads, backend } = options;
  const { path, context } = await benchModel(options);
  const memory = options.memory === undefined ? {} : { memory: options.memory };
  const cluster = {
    model: path,
    context,
    devices,
    threads,
    backend,
    storeDir: join(benchFolder(), 'tiles'),
    ...memory,
  };
  const texts = await withCluster(cluster, async (running) => {
    const figures: DraftFigures[] = [];
    for (const choices of options.choices) figures.push(await measurePairs(running, options, choices));
    return figures;
  });
  return { ...benchMachine(options.backend), ...options, texts };
}

interface Text {
  readonly tokens: readonly number[];
  /** Milliseconds a token, and passes over the model, both from the first token on. */
  readonly ms: number;
  readonly passes: number;
}

/**
 * Each pair is one request, served by two step loops of the same model that differ in drafting alone, in turn; both
 * have served others before, as a server has.
 */
async function measurePairs(model: LanguageModel, options: BenchDraftsOptions, choices: number): Promise<DraftFigures> {
  const loop = (promptLookup: boolean): Generator =>
    new Generator({ model, codec: letterCodec, log: benchLog, promptLookup });
  const [plain, drafting] = [loop(false), loop(true)];
  const pairs: { readonly without: Text; readonly with: Text }[] = [];
  for (let pair = -1; pair < options.pairs; pair++) {
    const first = await generate(pair % 2 === 0 ? plain : drafting, model, options, choices, pair);
    const second = await generate(pair % 2 === 0 ? drafting : plain, model, options, choices, pair);
    const [without, withDrafts] = pair % 2 === 0 ? [first, second] : [second, first];
    if (without.tokens.join() !== withDrafts.tokens.join()) {
      throw new StarlingError('internal', `drafting changed the text of pair ${pair}, drawn from ${choices} tokens`);
    }
    // The first warms up.
    if (pair >= 0) pairs.push({ without, with: withDrafts });
  }
  const ratios = pairs.map(({ without, with: drafted }) => drafted.ms / without.ms).sort((a, b) => a - b);
  const { min, max } = spread(ratios);
  const quarter = Math.floor(ratios.length / 4);
  const { draftedTokens, acceptedTokens } = drafting.statistics;
  return {
    choices,
    undrafted_ms_per_token: rounded(median(pairs.map(({ without }) => without.ms)), 3),
    drafted_ms_per_token: rounded(median(pairs.map(({ with: drafted }) => drafted.ms)), 3),
    time_ratio: rounded(median(ratios), 4),
    time_ratio_quartiles: [rounded(ratios[quarter]!, 4), rounded(ratios.at(-1 - quarter)!, 4)],
    time_ratio_spread: [rounded(min, 4), rounded(max, 4)],
    tokens_per_pass: rounded(median(pairs.map(({ with: { passes } }) => (options.tokens - 1) / passes)), 2),
    drafted_tokens: draftedTokens,
    accepted_tokens: acceptedTokens,
  };
}

async function generate(
  generator: Generator,
  model: LanguageModel,
  { prompt, tokens }: BenchDraftsOptions,
  choices: number,
  pair: number,
): Promise<Text> {
  const bias = new Map(randomTokens(choices, model.vocabSize, 100 + pair).map((id) => [id, 100] as const));
  const promptTokens = randomTokens(prompt, model.vocabSize, 2000 + pair);
  const sampling = { ...GREEDY, temperature: 1, seed: pair, logitBias: bias };
  const before = generator.statistics.steps;
  const heard: number[] = [];
  let startedAt = 0;
  for await (const event of generator.generate({
    promptTokens,
    maxTokens: tokens,
    sampling,
    stop: [],
    logprobs: null,
  })) {
    if (event.type !== 'token') continue;
    if (heard.length === 0) startedAt = performance.now();
    heard.push(event.token);
  }
  const ms = (performance.now() - startedAt) / (heard.length - 1);
  // The passes that the prompt takes, of which the last gives the first token.
  const passes = generator.statistics.steps - before - Math.ceil(prompt / MAX_ROWS);
  return { tokens: heard, ms, passes };
}

/** The report as lines for people. */
function text(report: DraftsReport): string {
  const { shape, quant, backend, devices, threads, texts, pairs } = report;
  const lines = texts.map((figures) => {
    const {
      choices,
      time_ratio,
      time_ratio_quartiles: quartiles,
      time_ratio_spread: [least, most],
    } = figures;
    const from = choices === 0 ? 'the whole vocabulary' : `${choices} token${choices === 1 ? '' : 's'}`;
    return (
      `from ${from}: ${figures.tokens_per_pass} tokens a pass, ${figures.drafted_ms_per_token} ms a token, without drafts ` +
      `${figures.undrafted_ms_per_token} ms; time × ${time_ratio} (middle half ${quartiles.join(' to ')}, all ${least} to ${most})\n`
    );
  });
  return `${machineLine(report)}\n${shape} ${quant}, ${backend}, ${devices} × ${threads} threads, ${pairs} pairs\n${lines.join('')}`;
}

async function main(args: readonly string[]): Promise<void> {
  const counts = (list: string): number[] => list.split(',').map(integer(0, 2 ** 20));
  const command = new Command('bench-drafts')
    .description(
      'Measure drafting on texts of one user, on a synthetic model and a throw-away cluster of this machine.',
    )
    .option('--shape <name>', 'shape of the model', shapeName, 'tinyllama-1.1b')
    .option('--quant <type>', 'type of its matrices', quantName, 'Q4_0')
    .option('--layers <n>', "number of layers instead of the shape's own", integer(1, 1024))
    .option('--devices <n>', 'this process and n − 1 daemons', integer(1, 64), 1)
    .option('--choices <counts>', 'texts drawn from so many tokens; 0 for the whole vocabulary', counts, [1, 8, 40, 0])
    .option('--pairs <n>', 'texts with and without drafts, in turn', integer(1, 1000), 10)
    .option('--prompt <n>', 'tokens of each prompt', integer(1, 2 ** 20), 32)
    .option('--tokens <n>', 'tokens of each text', integer(2, 2 ** 20), 64)
    .addOption(isaOption())
    .option('--json', 'print one JSON object');
  addComputeOptions(command, 'warn').parse(args);
  const { json, logLevel: _, ...options } = command.opts<BenchDraftsOptions & ComputeOptions & { json?: boolean }>();
  const report = await benchDrafts({ ...options, ...(await resolveCompute(command.opts<ComputeOptions>())) });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
