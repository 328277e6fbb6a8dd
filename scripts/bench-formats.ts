import type { OutputFormat } from '../coordinator/constraint/output-format.ts';

const RECORD = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    summary: { type: 'string', maxLength: 400 },
    kind: { enum: ['person', 'place', 'thing'] },
    count: { type: 'integer', minimum: 0, maximum: 1000 },
    share: { type: 'number' },
    tags: { type: 'array', items: { type: 'string' } },
    parent: { anyOf: [{ $ref: '#' }, { type: 'null' }] },
  },
  required: ['name', 'summary', 'kind', 'count', 'share', 'tags', 'parent'],
  additionalProperties: false,
};

const ARITHMETIC = `root ::= sum "\\n"
sum ::= product (" " [+-] " " product)*
product ::= value (" " [*/] " " value)*
value ::= [0-9]+ | "(" sum ")"
`;

/** Formats whose masks are measured, by name. */
export const BENCH_FORMATS: Readonly<Record<string, OutputFormat>> = {
  'JSON object': { kind: 'json-object' },
  'JSON Schema': { kind: 'json-schema', schema: RECORD },
  'strings of limited length': {
    kind: 'json-schema',
    schema: { type: 'array', items: { type: 'string', maxLength: 200 } },
  },
  'regular expression': { kind: 'regex', pattern: '([A-Z][a-z]+ ){3}\\d{4}-\\d{2}-\\d{2}: [^\\n]{1,300}' },
  GBNF: { kind: 'gbnf', grammar: ARITHMETIC },
};

/** Formats of texts that do not end by themselves, with little that is forced and with much. */
export const LONG_FORMATS: Readonly<Record<string, OutputFormat>> = {
  'list of strings': {
    kind: 'json-schema',
    schema: { type: 'array', minItems: 1000, items: { type: 'string', minLength: 20, maxLength: 200 } },
  },
  'list of records': {
    kind: 'json-schema',
    schema: {
      type: 'array',
      minItems: 1000,
      items: {
        type: 'object',
        properties: { name: { type: 'string', maxLength: 30 }, count: { type: 'integer' } },
        required: ['name', 'count'],
        additionalProperties: false,
      },
    },
  },
};
