import { StarlingError } from '../../../daemon/errors.ts';
import type { OutputFormat } from '../../constraint/output-format.ts';
import type { TokenSource } from '../../constraint/vocabulary-index.ts';
import { callConstraint } from './call-constraint.ts';
import type { ToolCallFamily } from './tool-call-family.ts';
import type { ToolUse } from './tools.ts';

/**
 * What the answer to a request with tools must look like; undefined for anything. Calls that are required leave no room for another
 * format.
 * @param wanted the format that the request asks for
 * @throws StarlingError unsupported_parameter where calls are told by channels, which no format reaches
 */
export function callFormat(
  family: ToolCallFamily,
  use: ToolUse,
  wanted: OutputFormat | undefined,
): OutputFormat | undefined {
  const constraint = callConstraint(family, use);
  if (constraint === null) return wanted;
  const { required, trigger, opening } = constraint;
  if (family.syntax === 'channels') {
    if (required) throw unsupported('tool_choice', 'calls cannot be required of this model; use "auto"');
    if (wanted !== undefined)
      throw unsupported('tools', 'this model cannot keep to a form and call tools; leave one out');
    return undefined;
  }
  if (required) return { kind: 'calls', constraint, otherwise: null };
  if (wanted !== undefined) return { kind: 'calls', constraint, otherwise: wanted };
  // Where calls have no mark of their own, text that begins like one may yet be none.
  return trigger === null || opening !== null ? undefined : { kind: 'calls', constraint, otherwise: null };
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
