import { type ToolCallFamily, USUAL_MESSAGES } from './tool-call-family.ts';

/** Code blocks in which some put the JSON all the same. */
const FENCES = ['```json', '```tool_code', '```tool_call'];

/**
 * Gemma 2 and 3, whose templates know nothing of tools: they answer with `{"name": …, "parameters": …}`, a line for
 * each call, where a message tells them to.
 */
export function gemma(template: string): ToolCallFamily | null {
  if (!template.includes('<start_of_turn>') || /\btools\b/.test(template)) return null;
  return {
    name: 'gemma',
    syntax: { opens: FENCES, close: '```', atStart: true, calls: 'objects' },
    marks: [],
    shape: {
      trigger: null,
      openings: ['{"name": "'],
      before: '',
      after: '',
      call: (name) => [`{"name": "${name}", "parameters": `, '}'],
      separator: '\n',
    },
    messages: { ...USUAL_MESSAGES, toldInText: true },
  };
}
