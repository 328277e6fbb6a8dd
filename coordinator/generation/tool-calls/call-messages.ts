import { createHash } from 'node:crypto';
import type { ChatMessage } from '../text-codec.ts';
import type { ToolCallForm } from './known-families.ts';
import { type CallShape, leadOf } from './tool-call-family.ts';
import type { ChatTool } from './tools.ts';

/** What a chat template is given of a conversation with tools. */
export interface CallMessages {
  readonly messages: readonly ChatMessage[];
  /** Null where the template is to say nothing of tools. */
  readonly tools: readonly ChatTool[] | null;
}

const SHORT_ID = /^[A-Za-z0-9]{9}$/;

/**
 * A conversation in the form in which the templates of a family take calls and their results.
 * @param form null for a model that cannot be offered tools
 * @param tools those that are offered; none for a choice of "none"
 */
export function callMessages(
  form: ToolCallForm | null,
  messages: readonly ChatMessage[],
  tools: readonly ChatTool[],
): CallMessages {
  const named = withNames(messages);
  if (form === null) return { messages: named, tools: null };
  const { messages: rules, shape } = form.family;
  let told = named;
  if (rules.shortIds) told = told.map(withShortIds);
  if (rules.oneCallEach) told = oneCallEach(told);
  if (rules.toldInText) told = withResultsInText(told);
  if (form.callsInText && shape !== null) told = told.map((message) => withCallsInText(message, shape));
  if (rules.toldInText) return { messages: tools.length > 0 ? withToolsInText(told, tools) : told, tools: null };
  return { messages: told, tools: tools.length > 0 ? tools : null };
}

/** Results with the name of their function, which clients leave out and some templates demand. */
function withNames(messages: readonly ChatMessage[]): ChatMessage[] {
  const names = new Map<string, string>();
  return messages.map((message) => {
    for (const { id, function: called } of message.tool_calls ?? []) names.set(id, called.name);
    const name = message.role === 'tool' ? (message.name ?? names.get(message.tool_call_id ?? '')) : message.name;
    return name === undefined ? message : { ...message, name };
  });
}

/** Nine letters or digits that stand for any id, the same for the same one. */
function shortId(id: string): string {
  if (SHORT_ID.test(id)) return id;
  return createHash('sha256').update(id).digest('hex').slice(0, 9);
}

function withShortIds(message: ChatMessage): ChatMessage {
  const { tool_call_id, tool_calls } = message;
  return {
    ...message,
    ...(tool_call_id === undefined ? {} : { tool_call_id: shortId(tool_call_id) }),
    ...(tool_calls === undefined ? {} : { tool_calls: tool_calls.map((call) => ({ ...call, id: shortId(call.id) })) }),
  };
}

/** Splits messages with several calls: each call in a message of its own, followed by its result. */
function oneCallEach(messages: readonly ChatMessage[]): ChatMessage[] {
  const split: ChatMessage[] = [];
  for (let at = 0; at < messages.length; at++) {
    const message = messages[at];
    if (message === undefined) break;
    const { tool_calls: calls = [], ...rest } = message;
    if (calls.length < 2) {
      split.push(message);
      continue;
    }
    const results: ChatMessage[] = [];
    for (let next = messages[at + 1]; next?.role === 'tool'; next = messages[++at + 1]) results.push(next);
    for (const [index, call] of calls.entries()) {
      // What was said and thought before the calls comes once.
      const before = index === 0 ? rest : { role: rest.role, content: '' };
      const own = results.findIndex(({ tool_call_id }) => tool_call_id === call.id);
      split.push({ ...before, tool_calls: [call] }, ...(own < 0 ? [] : results.splice(own, 1)));
    }
    split.push(...results);
  }
  return split;
}

/** A message whose calls stand in its text, as the model writes them. */
function withCallsInText(message: ChatMessage, shape: CallShape): ChatMessage {
  const { tool_calls: calls = [], ...rest } = message;
  if (calls.length === 0) return message;
  const written = calls.map(({ function: { name, arguments: given } }) => {
    const [prefix, suffix] = shape.call(name);
    return `${prefix}${typeof given === 'string' ? given : JSON.stringify(given)}${suffix}`;
  });
  const text = `${shape.before}${written.join(shape.separator ?? '\n')}${shape.after}`;
  return { ...rest, content: [textOf(message), `${leadOf(shape)}${text}`].filter((part) => part !== '').join('\n') };
}

/**
 * Results of calls become what the user says, all those that follow each other, and what the user says then, in one
 * message.
 */
function withResultsInText(messages: readonly ChatMessage[]): ChatMessage[] {
  const told: ChatMessage[] = [];
  let endsInResult = false;
  for (const message of messages) {
    const isResult = message.role === 'tool';
    const text = isResult ? `Result of ${message.name ?? 'the function'}:\n${textOf(message)}` : textOf(message);
    const last = told.at(-1);
    if (endsInResult && last !== undefined && (isResult || message.role === 'user')) {
      told[told.length - 1] = { ...last, content: `${textOf(last)}\n\n${text}` };
    } else {
      told.push(isResult ? { role: 'user', content: text } : message);
    }
    endsInResult = isResult;
  }
  return told;
}

/**
 * Tools told at the end of the system's message, or at the beginning of the first other one: some templates take none
 * of the system.
 */
function withToolsInText(messages: readonly ChatMessage[], tools: readonly ChatTool[]): ChatMessage[] {
  const [first, ...rest] = messages;
  if (first === undefined) return [];
  const parts = first.role === 'system' ? [textOf(first), toolsText(tools)] : [toolsText(tools), textOf(first)];
  return [{ ...first, content: parts.join('\n\n') }, ...rest];
}

function toolsText(tools: readonly ChatTool[]): string {
  return [
    'You have access to functions. To call one, answer with this JSON and nothing else:',
    '{"name": function name, "parameters": object of argument names and their values}',
    'To call several, write one such object on each line. Results follow in the next message. Where no function helps, answer as usual.',
    '',
    'The functions:',
    ...tools.map((tool) => JSON.stringify(tool.function)),
  ].join('\n');
}

function textOf({ content }: ChatMessage): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('\n');
}
