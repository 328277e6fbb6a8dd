import { type ToolCallFamily, USUAL_MESSAGES } from './tool-call-family.ts';

const PYTHON = '<|python_tag|>';

/** Llama 3.1 to 3.3: an answer that is `{"name": …, "parameters": …}`, with or without the mark of code before it. */
export function llama3(template: string): ToolCallFamily | null {
  if (!template.includes('<|start_header_id|>') || !template.includes('"parameters": ')) return null;
  return {
    name: 'llama3',
    syntax: { opens: [PYTHON], close: null, atStart: true, calls: 'objects' },
    marks: [PYTHON],
    shape: {
      trigger: PYTHON,
      openings: ['{"name": "', '{"type": "function", "name": "'],
      before: '',
      after: '',
      call: (name) => [`{"name": "${name}", "parameters": `, '}'],
      separator: null,
    },
    messages: { ...USUAL_MESSAGES, oneCallEach: true },
  };
}
