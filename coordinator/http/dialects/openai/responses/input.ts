import { z } from 'zod';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { MAX_NAME } from '../../../request-limits.ts';
import { type InputText, type Item, type NewItemId, outputText } from './items.ts';

const MAX_ITEMS = 10_000;
const MAX_PARTS = 1000;

const name = z.string().max(MAX_NAME);
const part = z.object({ type: z.enum(['input_text', 'output_text']), text: z.string() });
const content = z.union([z.string(), z.array(part).max(MAX_PARTS)], {
  error: `expected a text, or a list of up to ${MAX_PARTS} parts`,
});
type Content = z.output<typeof content>;

const item = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('message'),
    role: z.enum(['user', 'assistant', 'system', 'developer']),
    content,
  }),
  z.object({
    type: z.literal('reasoning'),
    // What is encrypted is for the server that encrypted it, and a summary is not what was thought.
    content: z
      .array(z.object({ type: z.literal('reasoning_text'), text: z.string() }))
      .max(MAX_PARTS)
      .nullish(),
  }),
  z.object({ type: z.literal('function_call'), call_id: name, name, arguments: z.string() }),
  z.object({ type: z.literal('function_call_output'), call_id: name, output: content }),
  z.object({ type: z.literal('item_reference'), id: name }),
]);

/** Messages and references need not say what they are. */
function typed(value: unknown): unknown {
  if (!isObject(value) || (value.type !== undefined && value.type !== null)) return value;
  return { ...value, type: value.role === undefined && value.id !== undefined ? 'item_reference' : 'message' };
}

/** What the model is to read: a text of the user, or a list of items. */
export const INPUT = z.union([z.string(), z.array(z.preprocess(typed, item)).min(1).max(MAX_ITEMS)], {
  error: `expected a text, or a list of up to ${MAX_ITEMS} items`,
});

const ITEM_TYPES: ReadonlySet<unknown> = new Set([
  'message',
  'reasoning',
  'function_call',
  'function_call_output',
  'item_reference',
]);
const PART_TYPES: ReadonlySet<unknown> = new Set(['input_text', 'output_text']);

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Refuses items and parts of kinds that are known elsewhere. What has no kind at all is left to the schema.
 * @throws StarlingError unsupported_parameter naming the first
 */
export function refuseOtherInput(input: unknown): void {
  if (!Array.isArray(input)) return;
  for (const [i, each] of input.entries()) {
    if (!isObject(each)) continue;
    const { type } = each;
    if (typeof type === 'string' && !ITEM_TYPES.has(type)) {
      throw unsupported(`input[${i}]`, type, 'items are messages, reasoning, calls of functions and their outputs');
    }
    if (type === 'reasoning') continue;
    for (const field of ['content', 'output']) {
      const parts = each[field];
      if (!Array.isArray(parts)) continue;
      for (const [j, { type: kind }] of parts.filter(isObject).entries()) {
        if (typeof kind !== 'string' || PART_TYPES.has(kind)) continue;
        throw unsupported(`input[${i}].${field}[${j}]`, kind, 'only text is read: {"type": "input_text", "text": "…"}');
      }
    }
  }
}

function unsupported(param: string, type: string, advice: string): StarlingError {
  const message = `'${param}' is of type '${type.slice(0, 40)}', which is not supported here: ${advice}`;
  return new StarlingError('unsupported_parameter', message, { param });
}

const textsOf = (given: Content): readonly { readonly text: string }[] =>
  typeof given === 'string' ? [{ text: given }] : given;

const inputTexts = (given: Content): InputText[] => textsOf(given).map(({ text }) => ({ type: 'input_text', text }));

/** Where items come from that a request does not bring itself. */
export interface ItemSource {
  readonly newId: NewItemId;
  /** The item of a kept response. @param param the field that names it @throws StarlingError response_not_found */
  readonly referred: (id: string, param: string) => Item;
}

/** The items of an input. @throws StarlingError response_not_found, for a reference to what is not kept */
export function itemsOf(input: z.output<typeof INPUT>, { newId, referred }: ItemSource): Item[] {
  const given = typeof input === 'string' ? [{ type: 'message', role: 'user', content: input } as const] : input;
  return given.map((each, i) =>
    each.type === 'item_reference' ? referred(each.id, `input[${i}]`) : itemOf(each, newId),
  );
}

function itemOf(given: Exclude<z.output<typeof item>, { type: 'item_reference' }>, newId: NewItemId): Item {
  const status = 'completed';
  switch (given.type) {
    case 'message': {
      const head = { id: newId('msg'), type: given.type, status } as const;
      const { role } = given;
      if (role !== 'assistant') return { ...head, role, content: inputTexts(given.content) };
      return { ...head, role, content: textsOf(given.content).map(({ text }) => outputText(text)) };
    }
    case 'reasoning':
      return { id: newId('rs'), type: given.type, status, summary: [], content: given.content ?? [] };
    case 'function_call':
      return { id: newId('fc'), ...given, status };
    case 'function_call_output': {
      const output = typeof given.output === 'string' ? given.output : inputTexts(given.output);
      return { id: newId('fco'), ...given, output, status };
    }
  }
}
