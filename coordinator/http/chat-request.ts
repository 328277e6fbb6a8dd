import { z } from 'zod';
import { StarlingError } from '../../daemon/errors.ts';
import type { ChatMessage, ChatTextPart, ChatToolCall } from '../generation/text-codec.ts';
import type { TextSettings } from '../generation/text-service.ts';
import { checkFields } from './check-fields.ts';
import { EMPTY } from './field.ts';
import type { RequestOrigin } from './request-origin.ts';
import { MAX_TOP_LOGPROBS, optionalCount, TEXT_FIELDS, textSettings } from './text-fields.ts';
import { isFilled, validate } from './validation.ts';

const MAX_MESSAGES = 10_000;
const MAX_PARTS = 1000;
const MAX_TOOL_CALLS = 128;
const MAX_EFFORT = 32;
const MAX_TOKENS = 2 ** 31 - 1;

const contentPart = z.looseObject({ type: z.string(), text: z.string().optional() });

const toolCall = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

/** What other servers take of a message, and would change the answer: each may be there with nothing in it. */
const MESSAGE_DEMANDS = ['prefix', 'partial', 'images', 'audio', 'function_call'];

const message = z.looseObject({
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
  chat_template_kwargs: z
    .preprocess((value) => (Array.isArray(value) && value.length === 0 ? {} : value), z.record(z.string(), z.unknown()))
    .nullish(),
  reasoning_effort: z.string().max(MAX_EFFORT).nullish(),
  enable_thinking: z.boolean().nullish(),
});

/** What the server itself tells a template. */
const OWN_VARIABLES = ['messages', 'tools', 'add_generation_prompt', 'bos_token', 'eos_token'];

export interface ChatRequest {
  readonly model: string | null;
  readonly messages: readonly ChatMessage[];
  /** Further variables for the chat template. */
  readonly variables: Readonly<Record<string, unknown>>;
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
  for (const name of MESSAGE_DEMANDS) {
    const value = body[name];
    if (value === null || value === undefined || EMPTY.holds(value, {})) continue;
    const field = `messages[${index}].${name}`;
    const advice = 'a message is a whole turn of text; leave it out';
    throw new StarlingError('unsupported_parameter', `'${field}' is not supported here: ${advice}`, { param: field });
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

function templateVariables(fields: z.output<typeof chatBody>): Readonly<Record<string, unknown>> {
  const variables = fields.chat_template_kwargs ?? {};
  for (const name of OWN_VARIABLES) {
    if (!Object.hasOwn(variables, name)) continue;
    const param = `chat_template_kwargs.${name}`;
    throw new StarlingError('unsupported_parameter', `'${param}' is set by the server; leave it out`, { param });
  }
  const { reasoning_effort, enable_thinking } = fields;
  return {
    ...(typeof reasoning_effort === 'string' ? { reasoning_effort } : {}),
    ...(typeof enable_thinking === 'boolean' ? { enable_thinking } : {}),
    ...variables,
  };
}

/**
 * Reads the body of POST /v1/chat/completions.
 * @throws StarlingError unsupported_parameter, invalid_request
 */
export function parseChatRequest(body: Readonly<Record<string, unknown>>, origin: RequestOrigin): ChatRequest {
  checkFields('chat', body);
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
    variables: templateVariables(fields),
    settings: textSettings(fields, own, origin),
    stream: fields.stream === true,
    includeUsage: fields.stream_options?.include_usage === true,
  };
}
