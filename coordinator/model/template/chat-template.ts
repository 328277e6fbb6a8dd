import { StarlingError } from '../../../daemon/errors.ts';
import { defaultTemplate } from './default-template.ts';
import { TemplateSyntaxError } from './jinja/errors.ts';
import { Template } from './jinja/template.ts';
import { type RenderedText, RenderProcess } from './render-process.ts';

/** A message as templates see it: fields beside these, such as tool_calls, are passed on as they are. */
export interface ChatMessage {
  readonly role: string;
  readonly content: unknown;
  readonly [field: string]: unknown;
}

export interface RenderOptions {
  /** End with the opening of the assistant's answer. */
  readonly addGenerationPrompt: boolean;
  /** Tool definitions as in OpenAI's API; null or left out means none. */
  readonly tools?: readonly unknown[] | null;
  /** Further variables that some templates know (enable_thinking, documents, date_string …). */
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

export interface ChatTemplateOptions {
  /** Clock of strftime_now(). */
  readonly now?: () => Date;
  /** Milliseconds that one rendering may take; 2000. */
  readonly timeLimitMs?: number;
  /** Renderings that may wait; 64. */
  readonly maxWaiting?: number;
}

/** Real templates have up to 30,000 characters. */
const MAX_SOURCE_LENGTH = 1 << 20;
/** Characters of the messages and tools as JSON: more than the longest context in use. */
const MAX_INPUT_LENGTH = 4 << 20;

/**
 * A model's chat template. Templates come from model files and are hostile until shown otherwise, so they are rendered
 * in a process of their own, started with the first rendering, kept, and replaced when it dies.
 */
export class ChatTemplate {
  readonly source: string;
  /** Why the template cannot be read, with the line; null when it can. */
  readonly fault: string | null;
  readonly #bosText: string;
  readonly #eosText: string;
  readonly #now: () => Date;
  readonly #timeLimitMs: number;
  readonly #maxWaiting: number;
  #process: RenderProcess | null = null;
  /** Settles when the last rendering asked for is over; the process takes one at a time. */
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #renderings = 0;
  #closed = false;

  /**
   * @param source Jinja; null for a plain transcript (see defaultTemplate for a better choice)
   * @param bosText what the template sees as bos_token and eos_token
   * @throws StarlingError template_failed when the source is longer than 1 Mi characters
   */
  constructor(source: string | null, bosText: string, eosText: string, options: ChatTemplateOptions = {}) {
    this.source = source ?? defaultTemplate(() => false);
    if (this.source.length > MAX_SOURCE_LENGTH) {
      throw new StarlingError(
        'template_failed',
        `the model's chat template has ${this.source.length} characters, more than ${MAX_SOURCE_LENGTH}; give another template`,
      );
    }
    this.fault = faultOf(this.source);
    this.#bosText = bosText;
    this.#eosText = eosText;
    this.#now = options.now ?? (() => new Date());
    this.#timeLimitMs = options.timeLimitMs ?? 2000;
    this.#maxWaiting = options.maxWaiting ?? 64;
  }

  /**
   * The prompt of a conversation.
   * @throws StarlingError template_invalid (it cannot be read), template_failed (raise_exception(), time, memory,
   *   length), request_too_large, queue_full, cancelled (when `signal` aborts)
   */
  async render(messages: readonly ChatMessage[], options: RenderOptions): Promise<RenderedText> {
    if (this.fault !== null) {
      throw new StarlingError(
        'template_invalid',
        `the model file's chat template cannot be read, so it has no chat: ${this.fault}; give a model file with another template, or use prompts: POST /v1/completions, "run --raw"`,
      );
    }
    const { addGenerationPrompt, tools = null, variables = {}, signal } = options;
    const json = JSON.stringify({
      ...variables,
      messages,
      tools,
      add_generation_prompt: addGenerationPrompt,
    });
    if (json.length > MAX_INPUT_LENGTH) {
      throw new StarlingError(
        'request_too_large',
        `the messages have ${json.length} characters as JSON; at most ${MAX_INPUT_LENGTH} are accepted`,
        { param: 'messages' },
      );
    }
    this.#assertOpen();
    if (signal?.aborted) throw cancelled();
    if (this.#waiting >= this.#maxWaiting) {
      throw new StarlingError('queue_full', 'too many conversations are waiting for their chat template; try again');
    }
    this.#waiting++;
    const turn = this.#tail
      .then(() => this.#renderNow(json, signal))
      .finally(() => {
        this.#waiting--;
      });
    this.#tail = turn.catch(() => {});
    return signal === undefined ? turn : unlessAborted(turn, signal);
  }

  /** Ends the process; renderings under way fail. */
  close(): void {
    this.#closed = true;
    this.#process?.close();
    this.#process = null;
  }

  async #renderNow(variables: string, signal: AbortSignal | undefined): Promise<RenderedText> {
    if (signal?.aborted) throw cancelled();
    this.#assertOpen();
    if (this.#process === null || !this.#process.alive) {
      this.#process = new RenderProcess(
        {
          source: this.source,
          bosText: this.#bosText,
          eosText: this.#eosText,
        },
        this.#timeLimitMs,
      );
    }
    return this.#process.render({ id: ++this.#renderings, variables, now: this.#now().getTime() });
  }

  #assertOpen(): void {
    if (this.#closed) throw new StarlingError('cancelled', 'the chat template was closed with its model');
  }
}

function faultOf(source: string): string | null {
  try {
    new Template(source);
    return null;
  } catch (error) {
    if (error instanceof TemplateSyntaxError) return error.message;
    throw error;
  }
}

/** The result, or `cancelled` as soon as the signal aborts; what was started ends by itself within the time limit. */
async function unlessAborted(turn: Promise<RenderedText>, signal: AbortSignal): Promise<RenderedText> {
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(cancelled());
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([turn, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function cancelled(): StarlingError {
  return new StarlingError('cancelled', 'the request was cancelled while its chat template was rendered');
}
