import { type ToolCallFamily, USUAL_MESSAGES } from './tool-call-family.ts';

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

/**
 * Qwen 2.5 and 3, Hermes, SmolLM 3, Granite 4: `<tool_call>\n{"name": …, "arguments": …}\n</tool_call>`, once for each
 * call.
 */
export function hermes(template: string): ToolCallFamily | null {
  // Qwen 3 Coder and GLM 4.5 write tags for arguments within the same marks.
  if (!template.includes(OPEN) || /<function=|<arg_key>/.test(template)) return null;
  return {
    name: 'hermes',
    syntax: { opens: [OPEN], close: CLOSE, atStart: false, calls: 'objects' },
    marks: [OPEN, CLOSE],
    shape: {
      trigger: OPEN,
      openings: [],
      before: '',
      after: '',
      call: (name) => [`\n{"name": "${name}", "arguments": `, `}\n${CLOSE}`],
      separator: `\n${OPEN}`,
    },
    messages: USUAL_MESSAGES,
  };
}
