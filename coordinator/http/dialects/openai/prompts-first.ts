import type { LogProbabilities } from '../../../generation/log-probabilities.ts';
import type { ChoiceEvent } from '../../text-exchange.ts';

/** What may be told now: of a prompt, once, before all that happens to its answers. */
export interface ToldEvents {
  readonly judged: readonly LogProbabilities[] | null;
  readonly events: readonly ChoiceEvent[];
}

/**
 * Holds back what happens to the answers to a prompt until its log probabilities are there: they come with the first
 * event of its first answer, and other answers may be ahead of that.
 */
export class PromptsFirst {
  /** Of each prompt that was not told yet. */
  readonly #held: Map<number, ChoiceEvent[]>;

  constructor(prompts: number) {
    this.#held = new Map(Array.from({ length: prompts }, (_, prompt) => [prompt, []]));
  }

  /** @param prompt whose answer the event is of */
  take(event: ChoiceEvent, prompt: number): ToldEvents {
    const held = this.#held.get(prompt);
    if (held === undefined) return { judged: null, events: [event] };
    if (event.promptLogProbs === undefined) {
      held.push(event);
      return { judged: null, events: [] };
    }
    this.#held.delete(prompt);
    return { judged: event.promptLogProbs, events: [event, ...held] };
  }
}
