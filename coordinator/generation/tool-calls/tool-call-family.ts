import type { CallSyntax } from './call-split.ts';

/** How a call is to be written where the model is held to the form, as texts around the arguments. */
export interface CallShape {
  /** After this text, wherever it stands in an answer, calls follow; null where nothing marks them. */
  readonly trigger: string | null;
  /**
   * Texts with which calls without a trigger begin, up to the name of the first: at the start of an answer, or after a
   * mark of the syntax that need not mean calls. The first is how a call is to be written.
   */
  readonly openings: readonly string[];
  /** Between the trigger and the first call, and after the last. */
  readonly before: string;
  readonly after: string;
  /** Around the arguments of a call of this function. */
  call(name: string): readonly [prefix: string, suffix: string];
  /** Between two calls; null where an answer has only one. */
  readonly separator: string | null;
}

/** What stands in front of calls where an answer is to be calls. */
export function leadOf({ openings, trigger }: CallShape): string {
  return openings.length === 0 ? (trigger ?? '') : '';
}

/** What messages about calls have to look like for the chat templates of a family. */
export interface MessageRules {
  /** A message has one call, and the result follows. */
  readonly oneCallEach: boolean;
  /** Ids of calls are nine letters or digits. */
  readonly shortIds: boolean;
  /** The template knows nothing of tools: offers, calls and results are told in the text of messages. */
  readonly toldInText: boolean;
}

export const USUAL_MESSAGES: MessageRules = { oneCallEach: false, shortIds: false, toldInText: false };

/** How the models of a family write calls. */
export interface ToolCallFamily {
  readonly name: string;
  /** How to find calls in an answer; 'channels' where the marks of channels tell them. */
  readonly syntax: CallSyntax | 'channels';
  /** Texts of the marks that may be tokens of the vocabulary, control tokens that are not shown among them. */
  readonly marks: readonly string[];
  /** Null where the answer cannot be held to the form of calls. */
  readonly shape: CallShape | null;
  readonly messages: MessageRules;
}
