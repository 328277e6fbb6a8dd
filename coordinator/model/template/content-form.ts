import type { Template } from './jinja/template.ts';
import { raw } from './jinja/text.ts';
import { templateVariables } from './template-variables.ts';

/** How a template reads a message's content: as a string, as a list of parts, or as whichever of them it is. */
export type ContentForm = 'text' | 'parts' | 'both';

const PROBE = 'Kormoran7';
/** A template that expects a string prints or dumps the list itself. */
const DUMPED = /["']text["']:/;

/** Finds out which form a template takes by rendering both, as llama.cpp does. */
export function contentForm(template: Template, variables: Readonly<Record<string, unknown>>, now: Date): ContentForm {
  const takes = (content: unknown): boolean => {
    const messages = [{ role: 'user', content }];
    try {
      const given = { ...variables, messages, tools: null, add_generation_prompt: true };
      const text = raw(template.render(templateVariables(given), now));
      return text.includes(PROBE) && !DUMPED.test(text);
    } catch {
      // what a template cannot render it does not take
      return false;
    }
  };
  if (!takes([{ type: 'text', text: PROBE }])) return 'text';
  return takes(PROBE) ? 'both' : 'parts';
}

/** A message of a request, as the template is given it. */
export type Message = Readonly<Record<string, unknown>>;

interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** Messages with their content in the form that the template takes. */
export function inForm(messages: readonly Message[], form: ContentForm): Message[] {
  return messages.map((message) =>
    message.content === undefined ? message : { ...message, content: contentInForm(message.content, form) },
  );
}

function contentInForm(content: unknown, form: ContentForm): unknown {
  if (typeof content === 'string') return form === 'parts' ? [{ type: 'text', text: content }] : content;
  if (!isTextParts(content) || form === 'parts') return content;
  return form === 'both' && content.length > 1 ? content : content.map(({ text }) => text).join('\n');
}

function isTextParts(content: unknown): content is readonly TextPart[] {
  return Array.isArray(content) && content.every((part) => part?.type === 'text' && typeof part.text === 'string');
}
