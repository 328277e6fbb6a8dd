import { type ContentForm, inForm, type Message } from './content-form.ts';
import type { Template } from './jinja/template.ts';
import { raw } from './jinja/text.ts';
import { templateVariables } from './template-variables.ts';

/** How a template reads an assistant's message with calls of tools. */
export interface CallForm {
  /** The arguments of a call: an object, or its JSON text. */
  readonly arguments: 'object' | 'text';
  /** What stands for no content beside calls. */
  readonly content: '' | null;
}

const KEY = 'klippe';
const VALUE = 'Kormoran7';
const OBJECT = { [KEY]: VALUE };
const AS_TEXT = JSON.stringify(OBJECT);
/** A template that expects text prints an object as Python does. */
const DUMPED = `{'${KEY}'`;

/**
 * Finds out which form a template takes by rendering both; a template that takes both gets an object, and no content.
 */
export function callForm(template: Template, variables: Message, now: Date, contentForm: ContentForm): CallForm {
  const rendered = (args: unknown, content: string | null): string => {
    const called = { id: 'abcdef123', type: 'function', function: { name: 'probe', arguments: args } };
    const asked = { role: 'user', content: 'Hi' };
    const messages = inForm([asked, { role: 'assistant', content, tool_calls: [called] }], contentForm);
    try {
      const given = { ...variables, messages, tools: null, add_generation_prompt: true };
      return raw(template.render(templateVariables(given), now));
    } catch {
      // what a template cannot render it does not take
      return '';
    }
  };
  const takesObject = (text: string): boolean => text.includes(KEY) && text.includes(VALUE) && !text.includes(DUMPED);
  const object = { arguments: 'object', none: rendered(OBJECT, null), empty: rendered(OBJECT, '') } as const;
  const text = { arguments: 'text', none: rendered(AS_TEXT, null), empty: rendered(AS_TEXT, '') } as const;
  const isObject = takesObject(object.none) || takesObject(object.empty);
  const isText = !isObject && (text.none.includes(AS_TEXT) || text.empty.includes(AS_TEXT));
  const taken = isText ? text : object;
  // Nothing is printed as None.
  const takesNone = taken.none !== '' && (taken.empty === '' || nones(taken.none) === nones(taken.empty));
  return { arguments: taken.arguments, content: takesNone ? null : '' };
}

function nones(text: string): number {
  return text.split('None').length;
}

export function hasCalls(message: Message): boolean {
  return Array.isArray(message.tool_calls) && message.tool_calls.length > 0;
}

/** Messages with their calls in the form that the template takes. */
export function inCallForm(messages: readonly Message[], form: CallForm): Message[] {
  return messages.map((message) => {
    if (!hasCalls(message)) return message;
    const content = message.content === '' || message.content === null ? form.content : message.content;
    const calls = (message.tool_calls as readonly unknown[]).map((call) => callInForm(call, form));
    return { ...message, ...('content' in message ? { content } : {}), tool_calls: calls };
  });
}

function callInForm(call: unknown, form: CallForm): unknown {
  if (!isRecord(call) || !isRecord(call.function)) return call;
  const given = call.function.arguments;
  const args = form.arguments === 'text' && isRecord(given) ? JSON.stringify(given) : given;
  return { ...call, function: { ...call.function, arguments: args } };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
