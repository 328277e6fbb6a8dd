import { z } from 'zod';
import { StarlingError } from '../../../../../daemon/errors.ts';
import type { Json } from '../../../../constraint/json-grammar.ts';
import type { OutputFormat } from '../../../../constraint/output-format.ts';
import type { Conversation } from '../../../../generation/conversation.ts';
import type { TextSettings } from '../../../../generation/text-service.ts';
import { MAX_NAME, MAX_TOOLS } from '../../../request-limits.ts';
import type { RequestOrigin } from '../../../request-origin.ts';
import { validate } from '../../../validation.ts';
import { MAX_EFFORT, templateVariables } from '../chat-request.ts';
import { checkFields } from '../check-fields.ts';
import {
  limitOf,
  MAX_TOP_LOGPROBS,
  objectOrEmptyList,
  optionalCount,
  TEXT_FIELDS,
  textSettings,
  tokenLimit,
  unlessEmpty,
} from '../text-fields.ts';
import { toolsOf } from '../tools.ts';
import { INPUT, type ItemSource, isObject, itemsOf, refuseOtherInput } from './input.ts';
import type { Item } from './items.ts';

const MAX_ID = 128;
/** Levels of what a response repeats: far fewer than those at which writing JSON fails. */
const MAX_NESTING = 500;
/** As at OpenAI. */
const MAX_METADATA = { pairs: 16, key: 64, value: 512 };

const name = z.string().max(MAX_NAME);
const object = z
  .record(z.string(), z.unknown())
  .refine((value) => nestsWithin(value, MAX_NESTING), `expected at most ${MAX_NESTING} levels`);

const tool = z.object({
  type: z.literal('function'),
  name,
  description: z.string().nullish(),
  parameters: objectOrEmptyList(object.nullish()),
  strict: z.boolean().nullish(),
});

const format = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    name: name.nullish(),
    description: z.string().nullish(),
    schema: objectOrEmptyList(object),
    strict: z.boolean().nullish(),
  }),
]);

const LOGPROBS = 'message.output_text.logprobs';

const responseBody = z.object({
  ...TEXT_FIELDS,
  input: INPUT,
  instructions: z.string().nullish(),
  previous_response_id: z.string().max(MAX_ID).nullish(),
  store: z.boolean().nullish(),
  metadata: z
    .record(z.string().max(MAX_METADATA.key), z.string().max(MAX_METADATA.value))
    .refine((pairs) => Object.keys(pairs).length <= MAX_METADATA.pairs, `expected at most ${MAX_METADATA.pairs} pairs`)
    .nullish(),
  max_output_tokens: tokenLimit,
  top_logprobs: optionalCount(0, MAX_TOP_LOGPROBS),
  // All but one are of tools that are not here, or of other servers.
  include: z
    .array(
      z.enum([
        LOGPROBS,
        'reasoning.encrypted_content',
        'message.input_image.image_url',
        'file_search_call.results',
        'web_search_call.results',
        'web_search_call.action.sources',
        'computer_call_output.output.image_url',
        'code_interpreter_call.outputs',
      ]),
    )
    .nullish(),
  tools: unlessEmpty(z.array(tool).max(MAX_TOOLS)),
  tool_choice: unlessEmpty(
    z.union([z.enum(['auto', 'none', 'required']), z.object({ type: z.literal('function'), name })], {
      error: 'expected "auto", "none", "required", or {"type": "function", "name": "…"}',
    }),
  ),
  parallel_tool_calls: z.boolean().nullish(),
  text: unlessEmpty(
    z.object({
      format: unlessEmpty(format),
      verbosity: z.literal('medium', { error: 'expected "medium"; ask for a short or long answer in words' }).nullish(),
    }),
  ),
  reasoning: unlessEmpty(z.object({ effort: z.string().max(MAX_EFFORT).nullish() })),
  chat_template_kwargs: objectOrEmptyList(object.nullish()),
  enable_thinking: z.boolean().nullish(),
});

type ResponseFields = z.output<typeof responseBody>;

export interface ResponseRequest {
  readonly model: string | null;
  readonly instructions: string | null;
  /** What is new to the model. */
  readonly items: readonly Item[];
  /** The response that it goes on from. */
  readonly previousId: string | null;
  /** All but its messages. */
  readonly conversation: Omit<Conversation, 'messages'>;
  readonly settings: TextSettings;
  readonly stream: boolean;
  readonly store: boolean;
  /** What a response repeats of the request. */
  readonly echo: object;
}

/**
 * Reads the body of POST /v1/responses.
 * @throws StarlingError unsupported_parameter, invalid_request; response_not_found, for references to items
 */
export function parseResponseRequest(
  body: Readonly<Record<string, unknown>>,
  origin: RequestOrigin,
  source: ItemSource,
): ResponseRequest {
  checkFields('responses', body);
  if (body.input === undefined || body.input === null) {
    throw new StarlingError('invalid_request', `'input' is missing; give a text, or a list of items`, {
      param: 'input',
    });
  }
  refuseOtherInput(body.input);
  refuseOtherTools(body.tools);
  const fields = validate(responseBody, body);
  const { tools, tool_choice: choice, parallel_tool_calls, top_logprobs: top } = fields;
  const hasLogprobs = fields.include?.includes(LOGPROBS) === true || (top ?? 0) > 0;
  const own = { maxTokens: limitOf([fields.max_output_tokens], null), logprobs: hasLogprobs ? (top ?? 0) : null };
  const form = outputFormat(fields);
  return {
    model: fields.model ?? null,
    instructions: fields.instructions ?? null,
    items: itemsOf(fields.input, source),
    previousId: fields.previous_response_id ?? null,
    conversation: {
      variables: templateVariables({ ...fields, reasoning_effort: fields.reasoning?.effort }),
      ...toolsOf({
        tools: tools?.map((each) => ({ type: 'function', function: each })),
        tool_choice: typeof choice === 'object' && choice !== null ? { type: 'function', function: choice } : choice,
        parallel_tool_calls,
      }),
    },
    settings: { ...textSettings(fields, own, origin), ...(form === undefined ? {} : { format: form }) },
    stream: fields.stream === true,
    store: fields.store !== false,
    echo: echoOf(fields),
  };
}

function nestsWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => nestsWithin(inner, levels - 1));
}

/** @throws StarlingError unsupported_parameter naming the first tool that is no function of the client */
function refuseOtherTools(tools: unknown): void {
  if (!Array.isArray(tools)) return;
  for (const [i, each] of tools.entries()) {
    const type = isObject(each) ? each.type : null;
    if (type === 'function' || typeof type !== 'string') continue;
    const message = `'tools[${i}]' is of type '${type.slice(0, 40)}'; only functions can be called here: leave it out, or offer a function that does it`;
    throw new StarlingError('unsupported_parameter', message, { param: `tools[${i}]` });
  }
}

/** A schema is always kept to, "strict" or not. */
function outputFormat({ text }: ResponseFields): OutputFormat | undefined {
  const asked = text?.format;
  if (asked?.type === 'json_schema') return { kind: 'json-schema', schema: asked.schema as Json };
  return asked?.type === 'json_object' ? { kind: 'json-object' } : undefined;
}

function echoOf(fields: ResponseFields): object {
  const { format: asked } = fields.text ?? {};
  return {
    background: false,
    instructions: fields.instructions ?? null,
    max_output_tokens: limitOf([fields.max_output_tokens], null),
    max_tool_calls: null,
    metadata: fields.metadata ?? {},
    parallel_tool_calls: fields.parallel_tool_calls !== false,
    previous_response_id: fields.previous_response_id ?? null,
    reasoning: { effort: fields.reasoning?.effort ?? null, summary: null },
    temperature: fields.temperature ?? 1,
    text: { format: asked ?? { type: 'text' } },
    tool_choice: fields.tool_choice ?? 'auto',
    tools: (fields.tools ?? []).map((each) => ({
      ...each,
      parameters: each.parameters ?? null,
      strict: each.strict ?? true,
    })),
    top_logprobs: fields.top_logprobs ?? 0,
    top_p: fields.top_p ?? 1,
    truncation: 'disabled',
    ...(typeof fields.user === 'string' ? { user: fields.user } : {}),
  };
}
