// Measures one decode by llama.cpp through node-llama-cpp. Started by the benches (scripts/bench-child.ts), with the
// task as JSON in the first argument: a WarmedTask, and `folder`, where node-llama-cpp is installed.
//
// Threads: node-llama-cpp shares `maxThreads` of the Llama instance out among its contexts, and takes a context's
// `threads` for a wish; without a GPU maxThreads is the count of cores, at least 4. With maxThreads: 0 nothing is
// shared out and a context uses exactly `threads`, for prefill and decode alike (n_threads and n_threads_batch).
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// The bench is gone.
process.once('disconnect', () => process.exit(1));

const {
  folder,
  model: modelPath,
  context: contextSize,
  threads,
  prompt,
  next,
  warmUp: { times, ms },
} = JSON.parse(process.argv[2]);
const entry = createRequire(join(folder, 'package.json')).resolve('node-llama-cpp');
const { getLlama } = await import(pathToFileURL(entry).href);

const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: 0, logLevel: 'error' });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize, batchSize: 512, sequences: 1, threads });
const sequence = context.getSequence();

/**
 * Feeds `tokens` after what the sequence holds. The likeliest next token is chosen, which is part of making one, and
 * then ignored: whatever the caller feeds comes next. Ends of text count as any token.
 */
function feeder() {
  let tokens;
  return async (fed) => {
    const start = performance.now();
    tokens ??= sequence.evaluate(fed, { temperature: 0, yieldEogToken: true });
    const { done } = await tokens.next(fed);
    if (done) throw new Error('llama.cpp stopped generating');
    return performance.now() - start;
  };
}

await feeder()(prompt);
await sequence.clearHistory();
const end = performance.now() + ms;
for (let time = 0; time < times; time++) {
  const feed = feeder();
  for (const token of next) {
    if (performance.now() >= end) break;
    await feed([token]);
  }
  await sequence.clearHistory();
}

const feed = feeder();
const prefill_ms = await feed(prompt);
const token_ms = [];
for (const token of next) token_ms.push(await feed([token]));

const seen = sequence.contextTokens;
const fed = [...prompt, ...next];
if (seen.length !== fed.length || seen.some((token, i) => token !== fed[i])) {
  throw new Error('llama.cpp evaluated other tokens than it was given');
}
if (context.currentThreads !== threads) {
  throw new Error(`llama.cpp computes on ${context.currentThreads} threads, not on ${threads}`);
}
const release = llama.llamaCppRelease.release;
// "CPU : SSE3 = 1 | AVX2 = 1 | …"
const instruction_sets = [...llama.systemInfo.matchAll(/(\w+) = 1/g)].map(([, name]) => name).join(', ');
process.send({ prefill_ms, token_ms, release, instruction_sets }, () => process.exit(0));
