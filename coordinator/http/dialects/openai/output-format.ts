import { z } from 'zod';
import { StarlingError } from '../../../../daemon/errors.ts';
import type { Json } from '../../../constraint/json-grammar.ts';
import type { OutputFormat } from '../../../constraint/output-format.ts';
import { parseJson } from '../../../parse-json.ts';
import { objectOrEmptyList, unlessEmpty } from './text-fields.ts';

/** As the formats themselves have it: characters. */
const MAX_TEXT = 1024 * 1024;
const MAX_OPTIONS = 10_000;

const object = objectOrEmptyList(
  z.record(z.string(), z.unknown(), 'expected a JSON schema, which is an object').nullish(),
);
const text = z.string().max(MAX_TEXT);
const options = z.array(text).max(MAX_OPTIONS);

/** A schema, or its JSON text. An empty schema is one, which allows any JSON. */
const schema = z.preprocess((value) => {
  if (value === false || value === '') return null;
  if (typeof value !== 'string' || value.length > MAX_TEXT) return value;
  try {
    return parseJson(value);
  } catch {
    return value;
  }
}, object);

const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  // llama.cpp takes a schema beside either type.
  z.object({ type: z.literal('json_object'), schema }),
  z.object({ type: z.literal('json_schema'), schema, json_schema: z.object({ schema }).nullish() }),
]);

/**
 * The fields that say what an answer must look like, by the names of OpenAI, llama.cpp, vLLM and text-generation-webui.
 */
export const FORMAT_FIELDS = {
  response_format: unlessEmpty(responseFormat),
  json_schema: schema,
  guided_json: schema,
  grammar: unlessEmpty(text),
  grammar_string: unlessEmpty(text),
  guided_grammar: unlessEmpty(text),
  guided_regex: unlessEmpty(text),
  guided_choice: unlessEmpty(options),
  structured_outputs: unlessEmpty(
    z.strictObject({
      json: schema,
      regex: unlessEmpty(text),
      choice: unlessEmpty(options),
      grammar: unlessEmpty(text),
      json_object: z.boolean().nullish(),
      // What is written is on one line in any case, and there is nothing to fall back to.
      disable_any_whitespace: z.boolean().nullish(),
      disable_fallback: z.boolean().nullish(),
    }),
  ),
};

type FormatFields = z.output<z.ZodObject<typeof FORMAT_FIELDS>>;

/**
 * What an answer must look like; undefined for anything. A schema is always kept to, "strict" or not.
 * @throws StarlingError invalid_request where several fields ask for something
 */
export function outputFormat(fields: FormatFields): OutputFormat | undefined {
  const { structured_outputs: structured } = fields;
  const asked = [
    ['response_format', ofResponse(fields.response_format)],
    ['json_schema', ofSchema(fields.json_schema)],
    ['guided_json', ofSchema(fields.guided_json)],
    ['grammar', ofGrammar(fields.grammar)],
    ['grammar_string', ofGrammar(fields.grammar_string)],
    ['guided_grammar', ofGrammar(fields.guided_grammar)],
    ['guided_regex', ofPattern(fields.guided_regex)],
    ['guided_choice', ofOptions(fields.guided_choice)],
    ['structured_outputs.json', ofSchema(structured?.json)],
    ['structured_outputs.regex', ofPattern(structured?.regex)],
    ['structured_outputs.choice', ofOptions(structured?.choice)],
    ['structured_outputs.grammar', ofGrammar(structured?.grammar)],
    ['structured_outputs.json_object', structured?.json_object === true ? JSON_OBJECT : undefined],
  ] as const;
  const [first, second] = asked.filter(([, format]) => format !== undefined);
  if (first !== undefined && second !== undefined) {
    const message = `'${first[0]}' and '${second[0]}' both say what the answer must look like; give one of them`;
    throw new StarlingError('invalid_request', message, { param: second[0] });
  }
  return first?.[1];
}

type Given<T> = T | null | undefined;

const JSON_OBJECT: OutputFormat = { kind: 'json-object' };

const ofSchema = (given: Given<Readonly<Record<string, unknown>>>): OutputFormat | undefined =>
  isGiven(given) ? { kind: 'json-schema', schema: given as Json } : undefined;
const ofGrammar = (grammar: Given<string>): OutputFormat | undefined =>
  isGiven(grammar) ? { kind: 'gbnf', grammar } : undefined;
const ofPattern = (pattern: Given<string>): OutputFormat | undefined =>
  isGiven(pattern) ? { kind: 'regex', pattern } : undefined;
const ofOptions = (given: Given<string[]>): OutputFormat | undefined =>
  isGiven(given) ? { kind: 'choice', options: given } : undefined;

function ofResponse(format: FormatFields['response_format']): OutputFormat | undefined {
  if (!isGiven(format) || format.type === 'text') return undefined;
  const inner = format.type === 'json_schema' ? format.json_schema?.schema : null;
  return ofSchema(inner ?? format.schema) ?? JSON_OBJECT;
}

function isGiven<T>(value: Given<T>): value is T {
  return value !== null && value !== undefined;
}
