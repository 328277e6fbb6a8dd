import { z } from 'zod';
import type { Conversation, Tool, ToolChoice } from '../../../generation/conversation.ts';
import { MAX_NAME, MAX_TOOLS } from '../../request-limits.ts';
import { objectOrEmptyList, unlessEmpty } from './text-fields.ts';

const name = z.string().max(MAX_NAME);

const tool = z.object({
  type: z.literal('function', { error: 'expected "function"; there are no other tools' }),
  function: z.object({
    name,
    description: z.string().nullish(),
    parameters: objectOrEmptyList(z.record(z.string(), z.unknown()).nullish()),
  }),
});

const named = z.object({ type: z.literal('function'), function: z.object({ name }) });

/** The fields of a chat that say which functions the model may call. */
export const TOOL_FIELDS = {
  tools: unlessEmpty(z.array(tool).max(MAX_TOOLS)),
  tool_choice: unlessEmpty(
    z.union([z.enum(['auto', 'none', 'required']), named], {
      error: 'expected "auto", "none", "required", or {"type": "function", "function": {"name": "…"}}',
    }),
  ),
  parallel_tool_calls: z.boolean().nullish(),
};

type ToolFields = z.output<z.ZodObject<typeof TOOL_FIELDS>>;

function toolOf({ function: { name, description, parameters } }: z.output<typeof tool>): Tool {
  return {
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...(parameters === null || parameters === undefined ? {} : { parameters }),
  };
}

function choiceOf(choice: ToolFields['tool_choice']): ToolChoice {
  if (choice === null || choice === undefined) return 'auto';
  return typeof choice === 'string' ? choice : { name: choice.function.name };
}

/** What a conversation has to do with tools. */
export function toolsOf(fields: ToolFields): Pick<Conversation, 'tools' | 'toolChoice' | 'parallelCalls'> {
  return {
    tools: (fields.tools ?? []).map(toolOf),
    toolChoice: choiceOf(fields.tool_choice),
    parallelCalls: fields.parallel_tool_calls !== false,
  };
}
