import type { GenerationUsage } from '../generation/events.ts';
import type { TextEvent } from '../generation/text-service.ts';

/** Adds up what a request came to. */
export class UsageCount {
  #promptTokens = 0;
  #cachedTokens = 0;
  #completionTokens = 0;
  #reasoningTokens = 0;
  readonly #answersToPrompt: number;

  /** @param answersToPrompt choices of each prompt, which counts once */
  constructor(answersToPrompt: number) {
    this.#answersToPrompt = answersToPrompt;
  }

  add(event: TextEvent): void {
    if (event.type === 'accepted') this.#promptTokens = event.promptTokens;
    if (event.type !== 'end') return;
    this.#completionTokens += event.usage.completionTokens;
    this.#reasoningTokens += event.usage.reasoningTokens;
    // What a prompt's other choices found was computed for this very request.
    if (event.choice % this.#answersToPrompt === 0) this.#cachedTokens += event.usage.cachedTokens;
  }

  get total(): GenerationUsage {
    return {
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      completionTokens: this.#completionTokens,
      reasoningTokens: this.#reasoningTokens,
    };
  }
}
