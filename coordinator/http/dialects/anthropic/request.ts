import { z } from 'zod';
import type { Json } from '../../../constraint/json-grammar.ts';
import type { Conversation, Message, ToolChoice } from '../../../generation/conversation.ts';
import type { TextSettings } from '../../../generation/text-service.ts';
import { MAX_COUNT, MAX_MESSAGES, MAX_NAME, MAX_STOP_LENGTH, MAX_STOPS, MAX_TOOLS } from '../../request-limits.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import type { UnknownNames } from '../../unknown-names.ts';
import { validate } from '../../validation.ts';
import { messageBody, systemBlocks, textOf, turnsOf } from './blocks.ts';

type Body = Readonly<Record<string, unknown>>;

const name = z.string().max(MAX_NAME);
const object = z.record(z.string(), z.unknown());

const countBody = z.object({
  model: name.nullish(),
  messages: z.array(messageBody).min(1).max(MAX_MESSAGES),
  system: systemBlocks.nullish(),
  thinking: z.object({ type: z.enum(['enabled', 'adaptive', 'disabled']) }).nullish(),
  tools: z
    .array(z.object({ name, description: z.string().nullish(), input_schema: object.nullish() }))
    .max(MAX_TOOLS)
    .nullish(),
  tool_choice: z
    .union([
      z.object({ type: z.enum(['auto', 'any', 'none']), disable_parallel_tool_use: z.boolean().nullish() }),
      z.object({ type: z.literal('tool'), name, disable_parallel_tool_use: z.boolean().nullish() }),
    ])
    .nullish(),
  output_config: z
    .object({
      format: z.object({ type: z.literal('json_schema'), schema: object }).nullish(),
      effort: z.string().max(32).nullish(),
    })
    .nullish(),
});

const messagesBody = countBody.extend({
  max_tokens: z.int().min(0).max(MAX_COUNT).nullish(),
  stop_sequences: z.array(z.string().max(MAX_STOP_LENGTH)).max(MAX_STOPS).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(-1).max(MAX_COUNT).nullish(),
  stream: z.boolean().nullish(),
  metadata: z.object({ user_id: z.string().max(MAX_NAME).nullish() }).nullish(),
});

/** Fields that are passed over: nothing of a text depends on them here. */
const IGNORED: ReadonlySet<string> = new Set([
  'cache_control',
  'service_tier',
  'context_management',
  'inference_geo',
  'speed',
  'diagnostics',
]);

/** What is counted. */
export interface CountRequest {
  readonly model: string | null;
  readonly conversation: Conversation;
}

export interface MessagesRequest extends CountRequest {
  readonly settings: TextSettings;
  readonly stream: boolean;
}

function toolChoiceOf(choice: z.output<typeof countBody>['tool_choice']): ToolChoice {
  if (choice === null || choice === undefined) return 'auto';
  if (choice.type === 'tool') return { name: choice.name };
  return choice.type === 'any' ? 'required' : choice.type;
}

function conversationOf(fields: z.output<typeof countBody>): Conversation {
  const { system, messages, thinking, tools, tool_choice, output_config } = fields;
  const before: Message[] =
    system === null || system === undefined ? [] : [{ role: 'system', content: textOf(system, 'system') }];
  const turns = messages.flatMap((each, i) => turnsOf(each, `messages[${i}].content`));
  const effort = output_config?.effort;
  return {
    messages: [...before, ...turns],
    continueFinal: turns.at(-1)?.role === 'assistant',
    tools: (tools ?? []).map(({ name, description, input_schema }) => ({
      name,
      ...(typeof description === 'string' ? { description } : {}),
      ...(input_schema === null || input_schema === undefined ? {} : { parameters: input_schema }),
    })),
    toolChoice: toolChoiceOf(tool_choice),
    parallelCalls: tool_choice?.disable_parallel_tool_use !== true,
    variables: {
      ...(thinking === null || thinking === undefined ? {} : { enable_thinking: thinking.type !== 'disabled' }),
      ...(typeof effort === 'string' ? { reasoning_effort: effort } : {}),
    },
  };
}

/** Reads the body of POST /v1/messages/count_tokens. @throws StarlingError invalid_request, unsupported_parameter */
export function parseCount(body: Body): CountRequest {
  const fields = validate(countBody, body);
  return { model: fields.model ?? null, conversation: conversationOf(fields) };
}

/** Reads the body of POST /v1/messages. @throws StarlingError invalid_request, unsupported_parameter */
export function parseMessages(body: Body, origin: RequestOrigin, unknown: UnknownNames): MessagesRequest {
  const fields = validate(messagesBody, body);
  const format = fields.output_config?.format;
  unknown.tell(Object.keys(body).filter((each) => !Object.hasOwn(messagesBody.shape, each) && !IGNORED.has(each)));
  return {
    model: fields.model ?? null,
    conversation: conversationOf(fields),
    stream: fields.stream === true,
    settings: {
      ...(format === null || format === undefined
        ? {}
        : { format: { kind: 'json-schema', schema: format.schema as Json } }),
      maxTokens: fields.max_tokens ?? null,
      logprobs: null,
      sampling: {
        temperature: fields.temperature ?? 1,
        topK: Math.max(0, fields.top_k ?? 0),
        topP: fields.top_p ?? 1,
        minP: 0,
        seed: origin.randomSeed(),
        frequencyPenalty: 0,
        presencePenalty: 0,
        repetition: null,
        logitBias: new Map(),
      },
      stop: (fields.stop_sequences ?? []).filter((text) => text !== ''),
      choices: 1,
      standing: { user: origin.userOf(fields.metadata?.user_id ?? null), priority: 'interactive', timeoutMs: null },
    },
  };
}
