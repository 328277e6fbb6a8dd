import { StarlingError } from '../../../../daemon/errors.ts';
import { EMBEDDING_FIELDS } from './embedding-fields.ts';
import type { Field, FieldRoute } from './field.ts';
import { FIELDS } from './field-table.ts';
import { RESPONSE_FIELDS } from './responses/fields.ts';

function fieldsOf(route: FieldRoute): ReadonlyMap<string, Field> {
  return new Map(
    [...FIELDS, ...EMBEDDING_FIELDS, ...RESPONSE_FIELDS]
      .filter(({ routes }) => routes.includes(route))
      .map((field) => [field.name, field]),
  );
}

const TABLES: Readonly<Record<FieldRoute, ReadonlyMap<string, Field>>> = {
  chat: fieldsOf('chat'),
  completions: fieldsOf('completions'),
  embeddings: fieldsOf('embeddings'),
  responses: fieldsOf('responses'),
};

/**
 * Refuses a request whose answer would not be what the client asked for.
 * @throws StarlingError unsupported_parameter for the first field of the body that asks for something that is not done
 */
export function checkFields(route: FieldRoute, body: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(body)) {
    if (value === null || value === undefined) continue;
    const field = TABLES[route].get(name);
    if (field?.treatment.kind !== 'refused' || field.treatment.neutral.holds(value, body)) continue;
    throw new StarlingError('unsupported_parameter', `'${name}' is not supported here: ${field.about}`, {
      param: name,
    });
  }
}

/** @throws StarlingError invalid_request with this advice, where a body does not have a field */
export function checkGiven(body: Readonly<Record<string, unknown>>, param: string, advice: string): void {
  if (body[param] !== undefined && body[param] !== null) return;
  throw new StarlingError('invalid_request', `'${param}' is missing; ${advice}`, { param });
}

/** The names of a body that the table of fields does not have. */
export function unknownFields(route: FieldRoute, body: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(body).filter((name) => !TABLES[route].has(name));
}
