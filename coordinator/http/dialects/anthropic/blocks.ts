import { z } from 'zod';
import { StarlingError } from '../../../../daemon/errors.ts';
import type { Message, TextPart, ToolCall } from '../../../generation/conversation.ts';
import { MAX_NAME } from '../../request-limits.ts';

const MAX_BLOCKS = 1000;

const object = z.record(z.string(), z.unknown());
const name = z.string().max(MAX_NAME);

/** A text, or blocks of which each says what it is. */
const blocks = z.union([z.string(), z.array(z.looseObject({ type: z.string() })).max(MAX_BLOCKS)], {
  error: `expected a text, or a list of up to ${MAX_BLOCKS} blocks with a "type"`,
});
type Blocks = z.output<typeof blocks>;
type Block = Exclude<Blocks, string>[number];

export const systemBlocks = blocks;
export const messageBody = z.object({ role: z.enum(['user', 'assistant']), content: blocks });

const SCHEMAS = {
  text: z.object({ text: z.string() }),
  thinking: z.object({ thinking: z.string() }),
  tool_use: z.object({ id: name, name, input: object }),
  tool_result: z.object({ tool_use_id: name, content: blocks.nullish() }),
};

/** @throws StarlingError invalid_request naming the block */
function read<K extends keyof typeof SCHEMAS>(kind: K, block: Block, param: string): z.output<(typeof SCHEMAS)[K]> {
  const result = SCHEMAS[kind].safeParse(block);
  if (result.success) return result.data as z.output<(typeof SCHEMAS)[K]>;
  const [issue] = result.error.issues;
  const problem = `${issue?.path.join('.')}: ${issue?.message}`;
  throw new StarlingError('invalid_request', `'${param}' is not a valid '${kind}' block: ${problem}`, { param });
}

/**
 * The text of blocks that may hold nothing else.
 * @throws StarlingError invalid_request, unsupported_parameter for images, documents and the like
 */
export function textOf(content: Blocks, path: string): string | TextPart[] {
  if (typeof content === 'string') return content;
  return content.map((block, i) => {
    const param = `${path}[${i}]`;
    if (block.type !== 'text') throw unsupported(block, param);
    return { type: 'text', text: read('text', block, param).text };
  });
}

function unsupported({ type }: Block, param: string): StarlingError {
  const message = `'${param}' is a '${type.slice(0, 40)}' block; only text, thinking, tool_use and tool_result are read here`;
  return new StarlingError('unsupported_parameter', message, { param });
}

/**
 * The turns that a message is: what tools answered are turns of their own, before the text beside them.
 * @throws StarlingError as textOf
 */
export function turnsOf({ role, content }: z.output<typeof messageBody>, path: string): Message[] {
  if (typeof content === 'string') return [{ role, content }];
  const results: Message[] = [];
  const texts: TextPart[] = [];
  const toolCalls: ToolCall[] = [];
  let reasoning = '';
  for (const [i, block] of content.entries()) {
    const param = `${path}[${i}]`;
    if (block.type === 'text') texts.push({ type: 'text', text: read('text', block, param).text });
    else if (block.type === 'thinking' && role === 'assistant') reasoning += read('thinking', block, param).thinking;
    else if (block.type === 'tool_use' && role === 'assistant') {
      const { id, name, input } = read('tool_use', block, param);
      toolCalls.push({ id, name, arguments: input });
    } else if (block.type === 'tool_result' && role === 'user') {
      const result = read('tool_result', block, param);
      const answer = textOf(result.content ?? '', `${param}.content`);
      results.push({ role: 'tool', toolCallId: result.tool_use_id, content: answer });
    } else if (block.type !== 'redacted_thinking' || role !== 'assistant') throw unsupported(block, param);
  }
  if (results.length > 0 && texts.length === 0) return results;
  const [only, ...more] = texts;
  const turn: Message = {
    role,
    content: more.length > 0 ? texts : (only?.text ?? ''),
    ...(reasoning === '' ? {} : { reasoning }),
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
  };
  return [...results, turn];
}
