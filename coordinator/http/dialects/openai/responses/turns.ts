import type { Message, TextPart, ToolCall } from '../../../../generation/conversation.ts';
import { conversationCall } from '../chat-request.ts';
import type { Item } from './items.ts';

/** A turn of the assistant that may go on with the next item. */
interface OpenTurn {
  reasoning: string;
  content: Message['content'] | null;
  readonly toolCalls: ToolCall[];
}

/**
 * The turns of a conversation: what the assistant thought, said and called, one after the other, is one of them.
 * Reasoning that led to nothing is left out, and `instructions` come first.
 */
export function turnsOf(instructions: string | null, items: readonly Item[]): Message[] {
  const turns: Message[] = instructions === null ? [] : [{ role: 'system', content: instructions }];
  let open: OpenTurn | null = null;
  const close = (): void => {
    if (open !== null) turns.push(...assistantTurn(open));
    open = null;
  };
  /** @param isOver whether a turn that is open is past what comes now */
  const turn = (isOver: (now: OpenTurn) => boolean): OpenTurn => {
    if (open !== null && isOver(open)) close();
    open ??= { reasoning: '', content: null, toolCalls: [] };
    return open;
  };
  const isPastText = ({ content, toolCalls }: OpenTurn): boolean => content !== null || toolCalls.length > 0;
  for (const item of items) {
    if (item.type === 'reasoning') {
      turn(isPastText).reasoning += item.content.map(({ text }) => text).join('');
    } else if (item.type === 'function_call') {
      const { call_id: id, name, arguments: args } = item;
      turn(() => false).toolCalls.push(conversationCall({ id, type: 'function', function: { name, arguments: args } }));
    } else if (item.type === 'function_call_output') {
      close();
      turns.push({ role: 'tool', toolCallId: item.call_id, content: contentOf(item.output) });
    } else if (item.role === 'assistant') {
      turn(isPastText).content = contentOf(item.content);
    } else {
      close();
      turns.push({ role: item.role === 'user' ? 'user' : 'system', content: contentOf(item.content) });
    }
  }
  close();
  return withOneBeginning(turns);
}

function assistantTurn({ reasoning, content, toolCalls }: OpenTurn): Message[] {
  if (content === null && toolCalls.length === 0) return [];
  return [
    {
      role: 'assistant',
      content: content ?? '',
      ...(reasoning === '' ? {} : { reasoning }),
      ...(toolCalls.length === 0 ? {} : { toolCalls }),
    },
  ];
}

function contentOf(given: string | readonly { readonly text: string }[]): string | TextPart[] {
  if (typeof given === 'string') return given;
  const [first, ...more] = given;
  return more.length === 0 ? (first?.text ?? '') : given.map(({ text }) => ({ type: 'text', text }));
}

/**
 * Many templates take a system message at the beginning only, and no second one, where clients send instructions and
 * then a message of the developer.
 */
function withOneBeginning(turns: readonly Message[]): Message[] {
  const other = turns.findIndex(({ role }) => role !== 'system');
  const leading = turns.slice(0, other < 0 ? turns.length : other);
  if (leading.length < 2) return [...turns];
  const texts = leading.flatMap(({ content }) =>
    typeof content === 'string' ? [content] : content.map(({ text }) => text),
  );
  return [{ role: 'system', content: texts.join('\n\n') }, ...turns.slice(leading.length)];
}
