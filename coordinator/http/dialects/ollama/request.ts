import { z } from 'zod';
import type { Json } from '../../../constraint/json-grammar.ts';
import type { Conversation, Message } from '../../../generation/conversation.ts';
import type { Prompt } from '../../../generation/fill-in-the-middle.ts';
import type { TextSettings } from '../../../generation/text-service.ts';
import { MAX_MESSAGES, MAX_NAME, MAX_TOOLS } from '../../request-limits.ts';
import type { RequestOrigin } from '../../request-origin.ts';
import type { UnknownNames } from '../../unknown-names.ts';
import { validate } from '../../validation.ts';
import { generationOptions, IGNORED_OPTIONS, optionSettings } from './options.ts';

type Body = Readonly<Record<string, unknown>>;

const object = z.record(z.string(), z.unknown());
const images = z.array(z.unknown()).max(0, 'only text is read; leave it out').nullish();
const name = z.string().max(MAX_NAME);

/** What the bodies of both text routes have. */
const COMMON = {
  model: name.nullish(),
  stream: z.boolean().nullish(),
  options: generationOptions.nullish(),
  format: z.union([z.literal(''), z.literal('json'), object], { error: 'expected "json" or a JSON schema' }).nullish(),
  think: z.union([z.boolean(), z.enum(['low', 'medium', 'high'])]).nullish(),
  keep_alive: z.unknown().optional(),
};

const message = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string().nullish(),
  thinking: z.string().nullish(),
  images,
  tool_calls: z
    .array(z.object({ function: z.object({ name, arguments: object }) }))
    .max(MAX_TOOLS)
    .nullish(),
  tool_name: name.nullish(),
});

const tool = z.object({
  function: z.object({ name, description: z.string().nullish(), parameters: object.nullish() }),
});

const chatBody = z.object({
  ...COMMON,
  messages: z.array(message).max(MAX_MESSAGES).nullish(),
  tools: z.array(tool).max(MAX_TOOLS).nullish(),
});

const nothing = (advice: string) =>
  z
    .unknown()
    .optional()
    .refine((value) => ['', 'null', '[]', 'undefined', '""'].includes(JSON.stringify(value) ?? ''), advice);

const generateBody = z.object({
  ...COMMON,
  prompt: z.string().nullish(),
  system: z.string().nullish(),
  raw: z.boolean().nullish(),
  images,
  suffix: z.string().nullish(),
  template: nothing('messages go through the template of the model file; or use "raw"'),
  context: nothing('send the whole conversation to /api/chat'),
});

/** A request to write a text. */
export interface OllamaRequest {
  readonly model: string | null;
  /** A conversation, or a text that goes through no template; null to have the model loaded, which it is. */
  readonly asked: { readonly conversation: Conversation } | { readonly prompt: Prompt } | null;
  readonly settings: TextSettings;
  readonly stream: boolean;
}

type Common = z.output<z.ZodObject<typeof COMMON>>;

function outputFormat({ format }: Common): Pick<TextSettings, 'format'> {
  if (format === null || format === undefined || format === '') return {};
  return { format: format === 'json' ? { kind: 'json-object' } : { kind: 'json-schema', schema: format as Json } };
}

/** `think` for templates that know whether to, and for those that know how much. */
function variables({ think }: Common): Readonly<Record<string, unknown>> {
  if (typeof think === 'string') return { enable_thinking: true, reasoning_effort: think };
  return typeof think === 'boolean' ? { enable_thinking: think } : {};
}

function settingsOf(fields: Common, origin: RequestOrigin): Pick<OllamaRequest, 'model' | 'settings' | 'stream'> {
  return {
    model: fields.model ?? null,
    settings: { ...optionSettings(fields.options ?? {}, origin), ...outputFormat(fields) },
    stream: fields.stream !== false,
  };
}

function conversationMessage(given: z.output<typeof message>): Message {
  const { role, content, thinking, tool_name, tool_calls } = given;
  const calls = (tool_calls ?? []).map((call, i) => ({ id: `call_${i}`, ...call.function }));
  return {
    role,
    content: content ?? '',
    ...(typeof tool_name === 'string' ? { name: tool_name } : {}),
    ...(role === 'assistant' && typeof thinking === 'string' && thinking !== '' ? { reasoning: thinking } : {}),
    ...(calls.length > 0 ? { toolCalls: calls } : {}),
  };
}

/** Tells of fields and options that are not known. */
function tellUnknown(body: Body, schema: z.ZodObject, unknown: UnknownNames): void {
  const options = typeof body.options === 'object' && body.options !== null ? Object.keys(body.options) : [];
  unknown.tell(Object.keys(body).filter((field) => !Object.hasOwn(schema.shape, field)));
  unknown.tell(
    options.filter((field) => !Object.hasOwn(generationOptions.shape, field) && !IGNORED_OPTIONS.has(field)),
  );
}

/** Reads the body of POST /api/chat. @throws StarlingError invalid_request, unsupported_parameter */
export function parseChat(body: Body, origin: RequestOrigin, unknown: UnknownNames): OllamaRequest {
  const fields = validate(chatBody, body);
  tellUnknown(body, chatBody, unknown);
  const messages = (fields.messages ?? []).map(conversationMessage);
  const tools = (fields.tools ?? []).map(({ function: { name, description, parameters } }) => ({
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...(parameters === null || parameters === undefined ? {} : { parameters }),
  }));
  const conversation = {
    messages,
    tools,
    variables: variables(fields),
    continueFinal: messages.at(-1)?.role === 'assistant',
  };
  return { ...settingsOf(fields, origin), asked: messages.length === 0 ? null : { conversation } };
}

/** Reads the body of POST /api/generate. @throws StarlingError invalid_request, unsupported_parameter */
export function parseGenerate(body: Body, origin: RequestOrigin, unknown: UnknownNames): OllamaRequest {
  const fields = validate(generateBody, body);
  tellUnknown(body, generateBody, unknown);
  const { prompt, suffix, system, raw } = fields;
  const common = settingsOf(fields, origin);
  if (typeof suffix === 'string' && suffix !== '') {
    return { ...common, asked: { prompt: { before: prompt ?? '', after: suffix } } };
  }
  if (prompt === null || prompt === undefined || prompt === '') return { ...common, asked: null };
  if (raw === true) return { ...common, asked: { prompt } };
  const messages: Message[] = [
    ...(typeof system === 'string' && system !== '' ? [{ role: 'system', content: system } as const] : []),
    { role: 'user', content: prompt },
  ];
  return { ...common, asked: { conversation: { messages, variables: variables(fields) } } };
}
