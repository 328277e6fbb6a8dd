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
 * @throws StarlingError unsupported_parameter where calls are required of one that is in a channel already
 */
export function callFormat(
  { syntax, shape }: ToolCallFamily,
  use: ToolUse,
  wanted: OutputFormat | undefined,
  isContinued: boolean,
): OutputFormat | undefined {
  if (syntax === 'channels') {
    const calls = constrainedCalls(shape, use);
    const required = use.choice !== 'auto';
    if (calls.length === 0) return wanted;
    if (isContinued && required) throw cannotBeRequired();
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

function cannotBeRequired(): StarlingError {
  const why = 'this model cannot come to a call in a message that it goes on with; use "auto", or end the message';
  return new StarlingError('unsupported_parameter', `'tool_choice' is not supported here: ${why}`, {
    param: 'tool_choice',
  });
}
