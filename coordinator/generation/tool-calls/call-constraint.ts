import type { CallConstraint, ConstrainedCall } from '../../constraint/call-grammar.ts';
import type { ToolCallFamily } from './tool-call-family.ts';
import { type ChatTool, offeredTools, type ToolUse } from './tools.ts';

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
