import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { type ChatMessage, encodePrompt } from '../generation/text-codec.ts';
import type { TextTools } from '../text-model.ts';

export interface PromptOptions {
  /** The text is continued as it is. */
  readonly raw?: boolean;
  /** A system message before it. */
  readonly system?: string;
}

/**
 * Token ids of what a user asks: a message in the model's chat template, or the bare text where that is wanted or the file has no
 * template.
 * @throws StarlingError invalid_argument for a system message without a template; template_invalid, template_failed, cancelled
 */
export async function promptTokens(
  { codec, template, hasTemplate }: TextTools,
  prompt: string,
  { raw, system }: PromptOptions,
  log: Logger,
  signal: AbortSignal,
): Promise<number[]> {
  if (raw === true) return encodePrompt(codec, prompt);
  if (!hasTemplate) {
    if (system !== undefined) {
      throw new StarlingError(
        'invalid_argument',
        '--system: the model file has no chat template; put it into the prompt',
      );
    }
    log.warn('the model file has no chat template: the prompt is continued as it is, as with --raw');
    return encodePrompt(codec, prompt);
  }
  const messages: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
  // The line break that ends standard input is no part of a message.
  messages.push({ role: 'user', content: prompt.replace(/\r?\n$/, '') });
  const { text, typed } = await template.render(messages, { addGenerationPrompt: true, signal });
  return encodePrompt(codec, text, typed);
}
