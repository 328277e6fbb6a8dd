import type { ToolCallFamily } from './tool-call-family.ts';
import { type ChatTool, offeredTools, type ToolUse } from './tools.ts';

/** One of the calls that may be made: `prefix`, arguments by the schema, `suffix`. */
export interface ConstrainedCall {
  readonly name: string;
  readonly prefix: string;
  /** JSON schema of the arguments, as the client gave it. */
  readonly schema: Readonly<Record<string, unknown>>;
  readonly suffix: string;
}

/**
 * What an answer has to look like for its calls to be valid, after any reasoning. Calls are `before`, one or more of `calls` with
 * `separator` between them, `after`; then the answer ends. Texts may hold marks that are control tokens: they are to be encoded with
 * these recognised.
 */
export interface CallConstraint {
  /** The answer is calls, with `lead` in front of them. Otherwise it is free until it comes to the trigger, or begins with the opening. */
  readonly required: boolean;
  /** In channels, after reasoning, the header `<|start|>assistant` comes before it. */
  readonly lead: string;
  readonly trigger: string | null;
  /** The beginning of calls that stand at the start of an answer without the trigger; part of their text. */
  readonly opening: string | null;
  readonly before: string;
  readonly calls: readonly ConstrainedCall[];
  /** Null for one call only. */
  readonly separator: string | null;
  readonly after: string;
}

/** Of a function that says nothing about its arguments. */
const NO_ARGUMENTS = { type: 'object', properties: {}, additionalProperties: false };

/** @returns null where no call may be made, so that the answer is free */
export function callConstraint({ shape }: ToolCallFamily, use: ToolUse): CallConstraint | null {
  const { choice, parallel } = use;
  const tools = offeredTools(use).filter((tool) => typeof choice === 'string' || tool.function.name === choice.name);
  if (tools.length === 0) return null;
  const constrained = ({ function: { name, parameters } }: ChatTool): ConstrainedCall => {
    const [prefix, suffix] = shape.call(name);
    return { name, prefix, schema: parameters ?? NO_ARGUMENTS, suffix };
  };
  return {
    required: choice !== 'auto',
    lead: shape.opening === null ? (shape.trigger ?? '') : '',
    trigger: shape.trigger,
    opening: shape.opening,
    before: shape.before,
    calls: tools.map(constrained),
    separator: parallel && typeof choice === 'string' ? shape.separator : null,
    after: shape.after,
  };
}
