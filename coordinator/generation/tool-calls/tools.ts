import { StarlingError } from '../../../daemon/errors.ts';
import type { ToolChoice } from '../conversation.ts';
import type { OfferedTools } from './call-events.ts';
import { FUNCTION_NAME } from './call-reader.ts';

/** A function that a client offers to the model, as in OpenAI's API and as chat templates read it. */
export interface ChatTool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string;
    /** A JSON schema of an object; left out for a function without arguments. */
    readonly parameters?: Readonly<Record<string, unknown>>;
    readonly [field: string]: unknown;
  };
}

/** What a request says about tools. */
export interface ToolUse {
  readonly tools: readonly ChatTool[];
  readonly choice: ToolChoice;
  /** An answer may hold several calls. */
  readonly parallel: boolean;
}

const MAX_TOOLS = 256;

/** @throws StarlingError invalid_request for tools, or a choice among them, that contradict themselves */
export function checkTools({ tools, choice }: ToolUse): void {
  if (tools.length > MAX_TOOLS) throw wrong('tools', `has ${tools.length} tools; at most ${MAX_TOOLS} are taken`);
  const names = new Set<string>();
  for (const [index, { function: offered }] of tools.entries()) {
    const param = `tools[${index}].function.name`;
    const shown = JSON.stringify(offered.name.slice(0, 80));
    if (!FUNCTION_NAME.test(offered.name)) {
      throw wrong(param, `is ${shown}; use 1 to 64 letters, digits, underscores, dashes and dots`);
    }
    if (names.has(offered.name)) throw wrong(param, `is ${shown} a second time; give each function a name of its own`);
    names.add(offered.name);
  }
  if (choice === 'required' && names.size === 0) {
    throw wrong('tool_choice', `is "required", but there are no tools; give some, or leave it out`);
  }
  if (typeof choice === 'object' && !names.has(choice.name)) {
    const shown = JSON.stringify(choice.name.slice(0, 80));
    throw wrong('tool_choice', `names ${shown}, which is not among the tools; name one of them`);
  }
}

/** The tools that the prompt tells of: with the choice "none", as with no tools, none. */
export function offeredTools({ tools, choice }: ToolUse): readonly ChatTool[] {
  return choice === 'none' ? [] : tools;
}

/** The names of functions, and which of their arguments are strings by the schema of that argument alone. */
export function namesAndTexts(
  tools: readonly ChatTool[],
): Pick<OfferedTools, 'names'> & Required<Pick<OfferedTools, 'isText'>> {
  const properties = new Map(tools.map(({ function: { name, parameters } }) => [name, parameters?.properties]));
  return {
    names: new Set(properties.keys()),
    isText: (name, argument) => typeOf(memberOf(properties.get(name), argument)) === 'string',
  };
}

const typeOf = (schema: unknown): unknown => memberOf(schema, 'type');

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

function wrong(param: string, problem: string): StarlingError {
  return new StarlingError('invalid_request', `'${param}' ${problem}`, { param });
}
