import { type ToolCallFamily, USUAL_MESSAGES } from './tool-call-family.ts';

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

/** Qwen 3 Coder and 3.5: within the marks of Hermes a tag for the function, and one for each argument. */
export function qwenCoder(template: string): ToolCallFamily | null {
  if (!template.includes(OPEN) || !template.includes('<function=') || !template.includes('<parameter=')) return null;
  return {
    name: 'qwen-coder',
    syntax: { opens: [OPEN], close: CLOSE, atStart: false, calls: 'tags' },
    marks: [OPEN, CLOSE],
    shape: null,
    messages: USUAL_MESSAGES,
  };
}
