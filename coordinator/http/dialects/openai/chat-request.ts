import { z } from 'zod';
import { StarlingError } from '../../../../daemon/errors.ts';
import type { Conversation, Message, TextPart, ToolCall } from '../../../generation/conversation.ts';
import type { TextSettings } from '../../../generation/text-service.ts';
import { parseJson } from '../../../parse-json.ts';
import { MAX_MESSAGES, MAX_TOOLS } from '../../request-limits.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import { isFilled, validate } from '../../validation.ts';
import { checkFields } from './check-fields.ts';
import { EMPTY } from './field.ts';
import { FORMAT_FIELDS, outputFormat } from './output-format.ts';
import {
  limitOf,
  MAX_TOP_LOGPROBS,
  objectOrEmptyList,
  optionalCount,
  TEXT_FIELDS,
  textSettings,
  tokenLimit,
} from './text-fields.ts';
import { TOOL_FIELDS, toolsOf } from './tools.ts';

const MAX_PARTS = 1000;
export const MAX_EFFORT = 32;

const toolCall = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({
    name: z.string(),
    arguments: z.union([z.string(), objectOrEmptyList(z.record(z.string(), z.unknown()))], {
      error: 'expected a JSON text or an object',
    }),
  }),
});

/** What other servers take of a message, and would change the answer: each may be there with nothing in it. */
const MESSAGE_DEMANDS = ['prefix', 'partial', 'images', 'audio', 'function_call'];

const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.unknown().optional(),
  name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
  tool_calls: z.array(toolCall).max(MAX_TOOLS).nullish(),
  reasoning_content: z.string().nullish(),
});

const chatBody = z.object({
  ...TEXT_FIELDS,
  ...FORMAT_FIELDS,
  ...TOOL_FIELDS,
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  max_completion_tokens: tokenLimit,
  logprobs: z.boolean().nullish(),
  top_logprobs: optionalCount(0, MAX_TOP_LOGPROBS),
  chat_template_kwargs: objectOrEmptyList(z.record(z.string(), z.unknown()).nullish()),
  reasoning_effort: z.string().max(MAX_EFFORT).nullish(),
  enable_thinking: z.boolean().nullish(),
  reasoning_format: z.enum(['none', 'auto', 'deepseek']).nullish(),
  include_reasoning: z.boolean().nullish(),
  continue_final_message: z.boolean().nullish(),
});

/** What the server itself tells a template. */
const OWN_VARIABLES = ['messages', 'tools', 'add_generation_prompt', 'bos_token', 'eos_token'];

export interface ChatRequest {
  readonly model: string | null;
  readonly conversation: Conversation;
  readonly settings: TextSettings;
  /** Reasoning that is told apart is part of the response. */
  readonly includeReasoning: boolean;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

type MessageBody = z.output<typeof message>;

const TEXT_PART = 'write {"type": "text", "text": "…"}';

/** @throws StarlingError invalid_request, unsupported_parameter naming the part at fault */
function messageContent(content: unknown, path: string): string | TextPart[] {
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) return '';
  if (!Array.isArray(content)) throw malformed(path, `is ${kindOf(content)}; give a text, or a list of parts`);
  if (content.length > MAX_PARTS) throw malformed(path, `has ${content.length} parts; at most ${MAX_PARTS} are taken`);
  return content.map((part: unknown, index) => {
    const param = `${path}[${index}]`;
    if (typeof part !== 'object' || part === null || Array.isArray(part)) {
      throw malformed(param, `is ${kindOf(part)} where a part is expected; ${TEXT_PART}`);
    }
    const { type, text } = part as { type?: unknown; text?: unknown };
    if (type === undefined || type === null) throw malformed(param, `has no 'type'; ${TEXT_PART}`);
    if (type !== 'text') {
      throw new StarlingError(
        'unsupported_parameter',
        `'${param}' is ${typeof type === 'string' ? `a '${type.slice(0, 40)}' part` : `a part whose 'type' is ${kindOf(type)}`}; ` +
          `only text parts are supported: ${TEXT_PART}`,
        { param },
      );
    }
    if (text === undefined) throw malformed(param, `has no 'text'; give the text of the part`);
    if (typeof text !== 'string')
      throw malformed(param, `has ${kindOf(text)} for its 'text'; give the text of the part`);
    return { type, text };
  });
}

const malformed = (param: string, problem: string): StarlingError =>
  new StarlingError('invalid_request', `'${param}' ${problem}`, { param });

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return 'a plain text';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** Templates walk through the arguments of a call, so they get the object that the JSON text stands for. */
export function conversationCall({ id, function: { name, arguments: given } }: z.output<typeof toolCall>): ToolCall {
  let parsed: unknown = given;
  try {
    if (typeof parsed === 'string') parsed = parseJson(parsed);
  } catch {
    parsed = null;
  }
  const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
  return { id, name, arguments: isObject ? (parsed as Record<string, unknown>) : given };
}

function conversationMessage(body: MessageBody, index: number): Message {
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
  const { role, name, tool_call_id, reasoning_content: reasoning } = body;
  const hasReasoning = role === 'assistant' && typeof reasoning === 'string' && reasoning !== '';
  return {
    // Templates know only the older name.
    role: role === 'developer' ? 'system' : role,
    content: messageContent(body.content, param),
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof tool_call_id === 'string' ? { toolCallId: tool_call_id } : {}),
    ...(hasReasoning ? { reasoning } : {}),
    ...(isFilled(body.tool_calls) ? { toolCalls: body.tool_calls!.map(conversationCall) } : {}),
  };
}

/**
 * What a request tells the chat template.
 * @throws StarlingError unsupported_parameter for what the server itself tells it
 */
export function templateVariables(
  fields: Pick<z.output<typeof chatBody>, 'chat_template_kwargs' | 'reasoning_effort' | 'enable_thinking'>,
): Readonly<Record<string, unknown>> {
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
    maxTokens: limitOf([fields.max_completion_tokens, fields.max_tokens, fields.n_predict], null),
    logprobs: fields.logprobs === true ? (fields.top_logprobs ?? 0) : null,
  };
  const format = outputFormat(fields);
  return {
    model: fields.model ?? null,
    conversation: {
      messages: fields.messages.map(conversationMessage),
      variables: templateVariables(fields),
      keepsReasoning: fields.reasoning_format === 'none',
      continueFinal: fields.continue_final_message === true,
      ...toolsOf(fields),
    },
    settings: { ...textSettings(fields, own, origin), ...(format === undefined ? {} : { format }) },
    includeReasoning: fields.include_reasoning !== false,
    stream: fields.stream === true,
    includeUsage: fields.stream_options?.include_usage === true,
  };
}
