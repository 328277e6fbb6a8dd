import { type CallShape, type ToolCallFamily, USUAL_MESSAGES } from './tool-call-family.ts';

const CALLS = '[TOOL_CALLS]';
const ARGUMENTS = '[ARGS]';

/**
 * Mistral. Up to version 7 of its tokenizer `[TOOL_CALLS][{"name": …, "arguments": …}, …]`, from version 11 on
 * `[TOOL_CALLS]name[ARGS]{…}`, once for each call, perhaps with a `[CALL_ID]` between. The template tells which; either
 * is read.
 */
export function mistral(template: string): ToolCallFamily | null {
  if (!template.includes(CALLS)) return null;
  return {
    name: 'mistral',
    syntax: { opens: [CALLS], close: null, atStart: false, calls: 'objects or names' },
    marks: [CALLS, ARGUMENTS, '[CALL_ID]'],
    shape: template.includes(ARGUMENTS) ? NAMED : listed(template.includes(`${CALLS} [`) ? ' [' : '['),
    messages: { ...USUAL_MESSAGES, shortIds: true },
  };
}

const NAMED: CallShape = {
  trigger: CALLS,
  openings: [],
  before: '',
  after: '',
  call: (name) => [`${name}${ARGUMENTS}`, ''],
  separator: CALLS,
};

function listed(bracket: string): CallShape {
  return {
    trigger: CALLS,
    openings: [],
    before: bracket,
    after: ']',
    call: (name) => [`{"name": "${name}", "arguments": `, '}'],
    separator: ', ',
  };
}
