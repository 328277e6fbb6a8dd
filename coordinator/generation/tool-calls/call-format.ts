import { StarlingError } from '../../../daemon/errors.ts';
import type { OutputFormat } from '../../constraint/output-format.ts';
import type { TokenSource } from '../../constraint/vocabulary-index.ts';
import { callConstraint, constrainedCalls } from './call-constraint.ts';
import type { ToolCallFamily } from './tool-call-family.ts';
import type { ToolUse } from './tools.ts';

/**
 * What the answer to a request with tools must look like; undefined for anything. Calls that are required leave no room
 * for another format.
 * @param wanted the format that the request asks for
 * @param isContinued whether the answer goes on with a message
 * @throws StarlingError unsupported_parameter where calls are required of one that is in a channel already, or of a
 * family whose calls have no form to be held to, which have none beside another format either
 */
export function callFormat(
  { syntax, shape }: ToolCallFamily,
  use: ToolUse,
  wanted: OutputFormat | undefined,
  isContinued: boolean,
): OutputFormat | undefined {
  const required = use.choice !== 'auto';
  if (shape === null) {
    if (use.choice === 'none' || use.tools.length === 0) return wanted;
    if (required) throw unsupported('tool_choice', 'calls cannot be required of this model; use "auto"');
    if (wanted !== undefined) throw unsupported('tools', 'this model cannot keep to a form and call; leave one out');
    return undefined;
  }
  if (syntax === 'channels') {
    const calls = constrainedCalls(shape, use);
    if (calls.length === 0) return wanted;
    if (isContinued && required) {
      throw unsupported('tool_choice', 'a message that goes on comes to no call; use "auto", or end it');
    }
    return isContinued ? wanted : { kind: 'channels', constraint: { required, calls }, answer: wanted ?? null };
  }
  const constraint = callConstraint(syntax, shape, use);
  if (constraint === null) return wanted;
  return { kind: 'calls', constraint, otherwise: constraint.required ? null : (wanted ?? null) };
}

/** A format of the answer as one of all that a model writes in channels. */
export function inChannels(format: OutputFormat): OutputFormat {
  return format.kind === 'channels'
    ? format
    : { kind: 'channels', constraint: { required: false, calls: [] }, answer: format };
}

/** The vocabulary with the texts of a family's marks, which control tokens among them do not have otherwise. */
export function withMarks(source: TokenSource, marks: ReadonlyMap<number, string>): TokenSource {
  const bytes = new Map([...marks].map(([token, text]) => [token, Buffer.from(text)]));
  return {
    pieceBytes: (token) => bytes.get(token) ?? source.pieceBytes(token),
    isEndOfGeneration: (token) => source.isEndOfGeneration(token),
  };
}

function unsupported(param: string, advice: string): StarlingError {
  return new StarlingError('unsupported_parameter', `'${param}' is not supported here: ${advice}`, { param });
}
