import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { Reasoning } from '../generation/answer-parts.ts';
import { type ChatMessage, encodePrompt } from '../generation/text-codec.ts';
import { opensReasoning } from '../model/reasoning-marks.ts';
import type { TextTools } from '../text-model.ts';

export interface PromptOptions {
  /** The text is continued as it is. */
  readonly raw?: boolean;
  /** A system message before it. */
  readonly system?: string;
}

export interface RunPrompt {
  readonly promptTokens: number[];
  /** Left out where the text is all answer. */
  readonly reasoning?: Reasoning;
}

/**
 * What a user asks as token ids: a message in the model's chat template, or the bare text where that is wanted or the
 * file has no template.
 * @throws StarlingError invalid_argument for a system message without a template; template_invalid, template_failed,
 * cancelled
 */
export async function encodeRun(
  { codec, template, hasTemplate, reasoning: form }: TextTools,
  prompt: string,
  { raw, system }: PromptOptions,
  log: Logger,
  signal: AbortSignal,
): Promise<RunPrompt> {
  if (raw === true) return { promptTokens: encodePrompt(codec, prompt) };
  if (!hasTemplate) {
    if (system !== undefined) {
      throw new StarlingError(
        'invalid_argument',
        '--system: the model file has no chat template; put it into the prompt',
      );
    }
    log.warn('the model file has no chat template: the prompt is continued as it is, as with --raw');
    return { promptTokens: encodePrompt(codec, prompt) };
  }
  const messages: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
  // The line break that ends standard input is no part of a message.
  messages.push({ role: 'user', content: prompt.replace(/\r?\n$/, '') });
  const rendered = await template.render(messages, { addGenerationPrompt: true, signal });
  const promptTokens = encodePrompt(codec, rendered.text, rendered.typed);
  return form === null
    ? { promptTokens }
    : { promptTokens, reasoning: { form, opened: opensReasoning(form, rendered) } };
}
