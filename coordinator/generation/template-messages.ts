import type { Message, Tool, ToolCall } from './conversation.ts';
import type { ChatMessage, ChatToolCall } from './text-codec.ts';
import type { ChatTool } from './tool-calls/tools.ts';

const templateToolCall = ({ id, name, arguments: args }: ToolCall): ChatToolCall => ({
  id,
  type: 'function',
  function: { name, arguments: args },
});

/** Templates of models that answer in channels know what an assistant thought by another name, beside calls alone. */
function templateReasoning({ content, reasoning, toolCalls = [] }: Message): Partial<ChatMessage> {
  if (reasoning === undefined) return {};
  const isBesideCalls = toolCalls.length > 0 && content === '';
  return { reasoning_content: reasoning, ...(isBesideCalls ? { thinking: reasoning } : {}) };
}

/** The messages of a conversation by the names that chat templates read. */
export function templateMessages(messages: readonly Message[]): ChatMessage[] {
  return messages.map((message) => {
    const { role, content, name, toolCallId, toolCalls } = message;
    return {
      role,
      content,
      ...(name === undefined ? {} : { name }),
      ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
      ...templateReasoning(message),
      ...(toolCalls === undefined ? {} : { tool_calls: toolCalls.map(templateToolCall) }),
    };
  });
}

/** Tools as chat templates read them. */
export const templateTools = (tools: readonly Tool[]): ChatTool[] =>
  tools.map((tool) => ({ type: 'function', function: { ...tool } }));
