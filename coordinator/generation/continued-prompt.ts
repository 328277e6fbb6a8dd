import { StarlingError } from '../../daemon/errors.ts';
import type { Message } from './conversation.ts';
import type { RenderedPrompt } from './text-codec.ts';

const textOf = ({ content }: Message): string =>
  typeof content === 'string' ? content : content.map(({ text }) => text).join('');

/**
 * A prompt that ends where its last message does, without what the template closes it with, so that the model goes on
 * with it. The message's text is the last that came with the request; templates may leave out its beginning, as
 * reasoning, and space around it.
 * @param prompt rendered without the opening of an answer
 * @throws StarlingError invalid_request where the last message is not the assistant's or has no text; template_failed
 *   where the template does not end with it
 */
export function continuedPrompt({ text, typed }: RenderedPrompt, final: Message | undefined): RenderedPrompt {
  if (final?.role !== 'assistant' || final.toolCalls !== undefined || textOf(final).trim() === '') {
    throw new StarlingError(
      'invalid_request',
      'only a last message of the assistant with some text can be continued; add one, or ask for a turn of its own',
      { param: 'messages' },
    );
  }
  const [from, to] = typed.at(-1) ?? [0, 0];
  const shown = text.slice(from, to).trim();
  if (shown === '' || !textOf(final).trim().endsWith(shown)) {
    throw new StarlingError(
      'template_failed',
      "the model's chat template does not end with the last message, so that it cannot be continued; use a prompt: POST /v1/completions",
    );
  }
  return { text: text.slice(0, to), typed };
}
