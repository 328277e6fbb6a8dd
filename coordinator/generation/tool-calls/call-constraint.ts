import type { CallConstraint, ConstrainedCall } from '../../constraint/call-grammar.ts';
import type { CallSyntax } from './call-split.ts';
import { type CallShape, leadOf } from './tool-call-family.ts';
import { offeredTools, type ToolUse } from './tools.ts';

/** Of a function that says nothing about its arguments. */
const NO_ARGUMENTS = { type: 'object', properties: {}, additionalProperties: false };

/** @returns null where no call may be made, so that the answer is free */
export function callConstraint(syntax: CallSyntax, shape: CallShape, use: ToolUse): CallConstraint | null {
  const { choice, parallel } = use;
  const calls = constrainedCalls(shape, use);
  if (calls.length === 0) return null;
  return {
    required: choice !== 'auto',
    lead: leadOf(shape),
    trigger: shape.trigger,
    openings: shape.openings,
    // Without a trigger, the marks of calls mean them only where an opening follows.
    fences: shape.trigger === null ? { begin: syntax.opens, end: `\n${syntax.close ?? ''}` } : null,
    before: shape.before,
    calls,
    separator: parallel && typeof choice === 'string' ? shape.separator : null,
    after: shape.after,
  };
}

/** The calls that may be made, as they are to be written. */
export function constrainedCalls(shape: CallShape, use: ToolUse): ConstrainedCall[] {
  const { choice } = use;
  const tools = offeredTools(use).filter((tool) => typeof choice === 'string' || tool.function.name === choice.name);
  return tools.map(({ function: { name, parameters } }) => {
    const [prefix, suffix] = shape.call(name);
    return { name, prefix, schema: parameters ?? NO_ARGUMENTS, suffix };
  });
}
