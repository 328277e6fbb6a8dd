import { z } from 'zod';
import { StarlingError } from '../../daemon/errors.ts';
import type { ChatMessage, ChatTextPart, ChatToolCall } from '../generation/text-codec.ts';
import type { TextSettings } from '../generation/text-service.ts';
import type { RequestOrigin } from './request-origin.ts';
import { CONTEXT_RULES, MAX_TOP_LOGPROBS, optionalCount, TEXT_FIELDS, textSettings } from './text-fields.ts';
import { isFilled, rejectUnsupported, type UnsupportedRule, validate } from './validation.ts';

const MAX_MESSAGES = 10_000;
const MAX_PARTS = 1000;
const MAX_TOOL_CALLS = 128;
const MAX_TOKENS = 2 ** 31 - 1;

const contentPart = z.looseObject({ type: z.string(), text: z.string().optional() });

const toolCall = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z
    .union([z.string(), z.array(contentPart).max(MAX_PARTS)], { error: 'expected a string or a list of content parts' })
    .nullish(),
  name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
  tool_calls: z.array(toolCall).max(MAX_TOOL_CALLS).nullish(),
});

const chatBody = z.object({
  ...TEXT_FIELDS,
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  max_tokens: optionalCount(1, MAX_TOKENS),
  max_completion_tokens: optionalCount(1, MAX_TOKENS),
  logprobs: z.boolean().nullish(),
  top_logprobs: optionalCount(0, MAX_TOP_LOGPROBS),
});

const isFormatted = (value: unknown): boolean => (value as { type?: unknown }).type !== 'text';
const withoutTools = 'leave it out, or set "tool_choice" to "none"';

const UNSUPPORTED: readonly UnsupportedRule[] = [
  ...CONTEXT_RULES,
  {
    param: 'tools',
    matters: (tools, body) => isFilled(tools) && body.tool_choice !== 'none',
    advice: `this server calls no tools; ${withoutTools}`,
  },
  {
    param: 'tool_choice',
    matters: (choice) => choice !== 'none' && choice !== 'auto',
    advice: `this server calls no tools; ${withoutTools}`,
  },
  { param: 'functions', matters: isFilled, advice: 'this server calls no functions; leave it out' },
  {
    param: 'function_call',
    matters: (choice) => choice !== 'none' && choice !== 'auto',
    advice: 'this server calls no functions; leave it out',
  },
  { param: 'response_format', matters: isFormatted, advice: 'only {"type": "text"} is; ask for the format in words' },
  { param: 'audio', matters: () => true, advice: 'answers are text; leave it out' },
  {
    param: 'modalities',
    matters: (value) => Array.isArray(value) && value.some((modality) => modality !== 'text'),
    advice: 'only ["text"] is',
  },
  { param: 'web_search_options', matters: () => true, advice: 'this server searches nothing; leave it out' },
];

export interface ChatRequest {
  readonly model: string | null;
  readonly messages: readonly ChatMessage[];
  readonly settings: TextSettings;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

type MessageBody = z.output<typeof message>;

function messageContent(content: MessageBody['content'], path: string): string | ChatTextPart[] {
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) return '';
  return content.map((part, index) => {
    const param = `${path}[${index}]`;
    if (part.type !== 'text') {
      throw new StarlingError(
        'unsupported_parameter',
        `'${param}' is a '${part.type}' part; only text parts are supported`,
        {
          param,
        },
      );
    }
    if (part.text === undefined) {
      throw new StarlingError('invalid_request', `'${param}.text' is missing; give the text of the part`, { param });
    }
    return { type: 'text', text: part.text };
  });
}

/** Templates walk through the arguments of a call, so they get the object that the JSON text stands for. */
function templateToolCall(call: z.output<typeof toolCall>): ChatToolCall {
  let parsed: unknown;
  try {
    parsed = JSON.parse(call.function.arguments);
  } catch {
    parsed = null;
  }
  const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
  const args = isObject ? (parsed as Record<string, unknown>) : call.function.arguments;
  return { id: call.id, type: call.type, function: { name: call.function.name, arguments: args } };
}

function templateMessage(body: MessageBody, index: number): ChatMessage {
  const param = `messages[${index}].content`;
  if (body.role !== 'assistant' && (body.content === null || body.content === undefined)) {
    throw new StarlingError('invalid_request', `'${param}' is missing; a ${body.role} message needs text`, { param });
  }
  return {
    // Templates know only the older name.
    role: body.role === 'developer' ? 'system' : body.role,
    content: messageContent(body.content, param),
    ...(typeof body.name === 'string' ? { name: body.name } : {}),
    ...(typeof body.tool_call_id === 'string' ? { tool_call_id: body.tool_call_id } : {}),
    ...(isFilled(body.tool_calls) ? { tool_calls: body.tool_calls!.map(templateToolCall) } : {}),
  };
}

/**
 * Reads the body of POST /v1/chat/completions.
 * @throws StarlingError unsupported_parameter, invalid_request
 */
export function parseChatRequest(body: Readonly<Record<string, unknown>>, origin: RequestOrigin): ChatRequest {
  rejectUnsupported(body, UNSUPPORTED);
  const fields = validate(chatBody, body);
  if ((fields.top_logprobs ?? 0) > 0 && fields.logprobs !== true) {
    throw new StarlingError('invalid_request', `'top_logprobs' needs "logprobs": true`, { param: 'top_logprobs' });
  }
  const own = {
    maxTokens: fields.max_completion_tokens ?? fields.max_tokens ?? null,
    logprobs: fields.logprobs === true ? (fields.top_logprobs ?? 0) : null,
  };
  return {
    model: fields.model ?? null,
    messages: fields.messages.map(templateMessage),
    settings: textSettings(fields, own, origin),
    stream: fields.stream === true,
    includeUsage: fields.stream_options?.include_usage === true,
  };
}
