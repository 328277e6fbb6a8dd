import { Counter, Gauge, type Registry } from 'prom-client';
import type { GenerationStatistics } from '../generation/statistics.ts';

/** Counters that only grow, by metric: help, and where the figure is. */
const COUNTERS: Readonly<Record<string, readonly [help: string, value: (of: GenerationStatistics) => number]>> = {
  texts_finished: ['Texts that were made to their end.', (of) => of.textsFinished],
  texts_ended: ['Texts that were cancelled or failed.', (of) => of.textsEnded],
  prompt_tokens: ['Tokens of the prompts of finished texts.', (of) => of.promptTokens],
  cached_tokens: ['Those of them that had been computed before.', (of) => of.cachedTokens],
  completion_tokens: ['Tokens of finished texts.', (of) => of.completionTokens],
  queue_seconds: ['Time that finished texts waited for their first row.', (of) => of.queueMs / 1000],
  prefill_seconds: ['Time from there to their first token.', (of) => of.prefillMs / 1000],
  decode_seconds: ['Time from there to their end.', (of) => of.decodeMs / 1000],
  rows: ['Rows of all steps.', (of) => of.rows],
  drafted_tokens: ['Tokens that were guessed.', (of) => of.draftedTokens],
  accepted_tokens: ['Guesses that were right.', (of) => of.acceptedTokens],
  preemptions: ['Times that a text had to yield to another.', (of) => of.preemptions],
};

/** Adds what text generation has done so far to a registry. */
export function registerGeneration(registry: Registry, statistics: () => GenerationStatistics): void {
  const registers = [registry];
  for (const [name, [help, value]] of Object.entries(COUNTERS)) {
    new Counter({
      name: `starling_${name}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(value(statistics()));
      },
    });
  }
  new Gauge({
    name: 'starling_kv_pages',
    help: 'Pages of the KV cache: free, kept for a beginning that may come again, and held by texts being made.',
    labelNames: ['state'],
    registers,
    collect() {
      const { pages, free, cached } = statistics().kv;
      this.set({ state: 'free' }, free);
      this.set({ state: 'cached' }, cached);
      this.set({ state: 'held' }, pages - free - cached);
    },
  });
}
