import { opensReasoning, type ReasoningForm } from '../model/reasoning-marks.ts';
import type { GenerationRequest } from './answer.ts';
import { continuedPrompt } from './continued-prompt.ts';
import type { Conversation } from './conversation.ts';
import { templateMessages, templateTools } from './template-messages.ts';
import { type ChatRenderer, encodePrompt, type TextCodec } from './text-codec.ts';
import type { NewCallId } from './tool-calls/call-events.ts';
import { callMessages } from './tool-calls/call-messages.ts';
import { refuseTools, type ToolCallForm } from './tool-calls/known-families.ts';
import { checkTools, namesAndTexts, offeredTools, type ToolUse } from './tool-calls/tools.ts';

/** How an answer is taken apart. */
export type AnswerForm = Pick<GenerationRequest, 'reasoning' | 'keepsReasoning' | 'calling'>;

/** What a conversation comes to: a text to go on with and its tokens, and how to take apart what follows. */
export interface ReadConversation {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly form: AnswerForm;
}

/** What of a model its conversations are read with. */
export interface ConversationReader {
  readonly codec: TextCodec;
  readonly template: ChatRenderer;
  /** How the model marks its reasoning; null where it has none. */
  readonly reasoning: ReasoningForm | null;
  /** How it writes calls of tools; null where it cannot be offered any. */
  readonly toolCalls: ToolCallForm | null;
  readonly newCallId: NewCallId;
}

/** The tools of a conversation, and how they may be used. */
export function toolUse({ tools = [], toolChoice = 'auto', parallelCalls = true }: Conversation): ToolUse {
  return { tools: templateTools(tools), choice: toolChoice, parallel: parallelCalls };
}

/**
 * What the model reads of a conversation, however long that is, and how what it then writes is taken apart.
 * @throws StarlingError what checkTools, refuseTools and continuedPrompt throw; template_invalid, template_failed;
 * cancelled
 */
export async function readConversation(
  conversation: Conversation,
  { codec, template, reasoning, toolCalls, newCallId }: ConversationReader,
  signal?: AbortSignal,
): Promise<ReadConversation> {
  const { messages, variables = {}, keepsReasoning = false, continueFinal = false } = conversation;
  const use = toolUse(conversation);
  checkTools(use);
  const offered = offeredTools(use);
  if (offered.length > 0 && toolCalls === null) throw refuseTools(template.source ?? '');
  const given = callMessages(toolCalls, templateMessages(messages), offered);
  const rendered = await template.render(given.messages, {
    addGenerationPrompt: !continueFinal,
    tools: given.tools,
    variables,
    ...(signal === undefined ? {} : { signal }),
  });
  const prompt = continueFinal ? continuedPrompt(rendered, messages.at(-1)) : rendered;
  const calling =
    toolCalls === null || offered.length === 0
      ? null
      : { form: toolCalls, ...namesAndTexts(offered), newId: newCallId };
  // A text that is gone on with is past its reasoning.
  const marks = continueFinal ? null : reasoning;
  const form = {
    ...(calling === null ? {} : { calling }),
    ...(marks === null ? {} : { reasoning: { form: marks, opened: opensReasoning(marks, prompt) } }),
    // Where calls are told by channels, so is the reasoning.
    ...(marks === null ? {} : { keepsReasoning: keepsReasoning && calling?.form.family.syntax !== 'channels' }),
  };
  return { text: prompt.text, tokens: encodePrompt(codec, prompt.text, prompt.typed), form };
}
