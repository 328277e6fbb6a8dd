import { createHash } from 'node:crypto';
import { addAbortSignal, type Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { ClusterKey } from '../../daemon/cluster-key.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { loadIdentity } from '../../daemon/identity.ts';
import { createLogger } from '../../daemon/log.ts';
import type { HomePaths } from '../../daemon/paths.ts';
import { processMemory } from '../../daemon/process-memory.ts';
import { tokenReport } from '../cluster/account-report.ts';
import { accountBetween } from '../cluster/accounting.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { GenerationRequest } from '../generation/answer.ts';
import { Generator } from '../generation/generator.ts';
import { GREEDY } from '../generation/sampler.ts';
import { openTextTools } from '../text-model.ts';
import { AnswerPrinter } from './answer-printer.ts';
import { type RunningDraft, startDraft } from './draft.ts';
import { LocalDevices } from './local-devices.ts';
import { openKnownModel } from './open-known-model.ts';
import {
  addComputeOptions,
  type ComputeOptions,
  decimal,
  draftOption,
  type HeadOptions,
  headOption,
  integer,
  type KvOptions,
  kvOption,
  resolveCompute,
  resolveMemory,
  resolveModel,
  storeOption,
} from './options.ts';
import { progressBar } from './progress.ts';
import { encodeRun, type PromptOptions, type RunPrompt } from './run-prompt.ts';
import { contextLength, startCluster } from './start-cluster.ts';

interface RunOptions extends ComputeOptions, KvOptions, HeadOptions, PromptOptions {
  readonly localDevices: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
  readonly stop: string[];
  readonly context?: number;
  readonly draft?: string;
  readonly store?: string;
  readonly json?: boolean;
}

export interface RunCommandDeps {
  readonly paths: HomePaths;
  readonly stdin: Readable;
  readonly stdout: (text: string) => void;
  /** Whether standard output is one. */
  readonly isTerminal: boolean;
  readonly signal: AbortSignal;
}

export function runCommand(deps: RunCommandDeps): Command {
  const collect = (value: string, previous: string[]): string[] => [...previous, value];
  const command = new Command('run')
    .description('ask a model one thing, on a throw-away cluster of this machine, and print the answer as it comes')
    .argument('<model>', 'a .gguf file, or "tiny-chat" for the small model that comes with Starling')
    .argument('<prompt>', 'what to ask; - reads it from standard input')
    .option('--local-devices <n>', 'devices: this process and n − 1 daemons', integer(1, 64), 1)
    .option('--system <text>', 'a system message before the prompt')
    .addOption(new Option('--raw', 'continue the prompt as it is, without a chat template').conflicts('system'))
    .option('--max-tokens <n>', 'most tokens to generate', integer(1, 2 ** 20), 128)
    .option('--temperature <t>', '0 always takes the likeliest token', decimal(0, 100), 0)
    .option('--top-k <n>', 'draw from the n likeliest tokens; 0 for all', integer(0, 2 ** 20), 0)
    .option('--top-p <p>', 'draw from the likeliest tokens that together reach p', decimal(0, 1), 1)
    .option('--min-p <p>', 'leave out tokens below p times the likeliest', decimal(0, 1), 0)
    .option('--seed <n>', 'the same seed draws the same text, on any cluster', integer(0, Number.MAX_SAFE_INTEGER), 0)
    .option('--stop <text>', 'end before this text; may be repeated', collect, [])
    .option('--context <n>', "most tokens of prompt and text (default: the model's, at most 4096)", integer(1, 2 ** 20))
    .addOption(kvOption())
    .addOption(headOption())
    .addOption(draftOption())
    .addOption(storeOption('where to keep tiles; the next run finds them there'))
    .option('--json', 'print one JSON object at the end instead of the text');
  addComputeOptions(command, 'warn');
  command.addHelpText(
    'after',
    `
The prompt goes through the model's chat template as a user's message; one for a model without a template, or with --raw, is
continued as it is.

What a model thinks before it answers is shown on a terminal only, dimmed.

The object of --json: text, reasoning_content where there is any, tokens, prompt_tokens, completion_tokens, finish_reason,
logits_sha256 (over the f32 bytes of the logits that each token was drawn from), steps, drafted_tokens, accepted_tokens, devices,
backend, threads, kv, ttft_ms, tokens_per_second, and accounting: for each token after the first, what each device read, computed
and waited for, and which of these took most of the time (compute, disk or network).

Examples:
  $ starling run tiny-chat "Tell me a story about a dog."
  $ starling run --raw tiny-chat "Once upon a time"
  $ starling run --local-devices 4 --json model.gguf "Why is the sky blue?"`,
  );
  return command.action(async (modelArgument: string, promptArgument: string, options: RunOptions) => {
    const log = createLogger(options.logLevel, 'run');
    const compute = await resolveCompute(options);
    const memory = resolveMemory(options, options.localDevices);
    const storeDir = options.store ?? deps.paths.storeDir;
    const path = await resolveModel(modelArgument);
    const prompt = promptArgument === '-' ? await readText(addAbortSignal(deps.signal, deps.stdin)) : promptArgument;
    const bar = progressBar();
    const { contentsFile, identityFile } = deps.paths;
    const opening = { contentsFile, log, onProgress: bar.onProgress, signal: deps.signal };
    const model = await openKnownModel(path, opening).finally(bar.stop);
    const tools = openTextTools(model);
    const key = ClusterKey.generate();
    let devices: LocalDevices | undefined;
    let draft: RunningDraft | undefined;
    try {
      for (const warning of tools.warnings) log.warn(warning);
      const asked = await encodeRun(tools, prompt, options, log, deps.signal);
      // What renders is not resident beside the model.
      tools.template.close();
      devices = await LocalDevices.start({
        count: options.localDevices - 1,
        key,
        storeDir,
        memory,
        ...compute,
      });
      const clusterOptions = {
        model,
        identity: await loadIdentity(identityFile),
        key,
        peers: devices.endpoints,
        waitMs: 0,
        ownShare: true,
        storeDir,
        ...compute,
        memory: processMemory(memory),
        contextLength: contextLength(model, options.context),
        kv: options.kv,
        head: options.head,
        devices: 'all' as const,
        profiles: null,
        log,
        onProgress: bar.onProgress,
        signal: deps.signal,
      };
      // First, so that the model's share is planned beside what the draft model takes.
      if (options.draft !== undefined)
        draft = await startDraft(options.draft, { ...clusterOptions, contentsFile }).finally(bar.stop);
      const cluster = await startCluster(clusterOptions).finally(bar.stop);
      try {
        const generator = new Generator({
          model: cluster,
          codec: tools.codec,
          log,
          ...(draft === undefined ? {} : { draft: draft.model }),
        });
        const result = await generate(cluster, generator, asked, options, deps);
        if (options.json) {
          deps.stdout(`${JSON.stringify({ ...result, devices: cluster.devices, ...compute, kv: options.kv })}\n`);
        } else {
          deps.stdout('\n');
        }
      } finally {
        await cluster.stop();
      }
    } finally {
      await draft?.stop();
      tools.template.close();
      await model.gguf.close();
      await devices?.stop();
    }
  });
}

/** Generates, printing the text as it comes unless it is wanted as JSON. */
async function generate(
  cluster: Cluster,
  generator: Generator,
  asked: RunPrompt,
  options: RunOptions,
  { stdout, isTerminal, signal }: RunCommandDeps,
): Promise<Record<string, unknown>> {
  const { temperature, topK, topP, minP, seed } = options;
  const sampling = { ...GREEDY, temperature, topK, topP, minP, seed };
  const hash = createHash('sha256');
  const request: GenerationRequest = {
    ...asked,
    maxTokens: options.maxTokens,
    sampling,
    stop: options.stop,
    logprobs: null,
    onLogits: (logits) => {
      hash.update(Buffer.from(Float32Array.from(logits).buffer));
    },
  };
  const printer = new AnswerPrinter(stdout, isTerminal);
  const started = performance.now();
  const tokens: number[] = [];
  let firstAt = started;
  let before = cluster.account();
  let text = '';
  let reasoning = '';
  for await (const event of generator.generate(request, signal)) {
    if (event.type === 'token') {
      if (tokens.push(event.token) === 1) {
        firstAt = performance.now();
        before = cluster.account();
      }
    }
    text += event.text;
    reasoning += event.reasoning;
    if (!options.json) printer.print(event);
    if (event.type === 'end') {
      const seconds = (performance.now() - firstAt) / 1000;
      return {
        text,
        ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
        tokens,
        prompt_tokens: asked.promptTokens.length,
        completion_tokens: tokens.length,
        finish_reason: event.finishReason,
        logits_sha256: hash.digest('hex'),
        accounting: tokenReport(accountBetween(before, cluster.account())),
        steps: generator.statistics.steps,
        drafted_tokens: generator.statistics.draftedTokens,
        accepted_tokens: generator.statistics.acceptedTokens,
        ttft_ms: Math.round((firstAt - started) * 10) / 10,
        tokens_per_second: tokens.length > 1 ? Math.round(((tokens.length - 1) / seconds) * 100) / 100 : 0,
      };
    }
  }
  throw new StarlingError('internal', 'the text ended without an end');
}
