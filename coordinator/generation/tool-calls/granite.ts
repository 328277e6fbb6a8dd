import { type ToolCallFamily, USUAL_MESSAGES } from './tool-call-family.ts';

const CALLS = '<|tool_call|>';

/** Granite 3: `<|tool_call|>[{"name": …, "arguments": …}, …]`. */
export function granite(template: string): ToolCallFamily | null {
  if (!template.includes(CALLS)) return null;
  return {
    name: 'granite',
    syntax: { opens: [CALLS], close: null, atStart: false, calls: 'objects' },
    marks: [CALLS],
    shape: {
      trigger: CALLS,
      openings: [],
      before: '[',
      after: ']',
      call: (name) => [`{"name": "${name}", "arguments": `, '}'],
      separator: ', ',
    },
    messages: USUAL_MESSAGES,
  };
}
