import type { Context } from 'hono';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { type RequestOrigin, requestOrigin } from '../../request-origin.ts';
import { checkModel } from '../../served-model.ts';
import { unknownFields } from './check-fields.ts';
import type { FieldRoute } from './field.ts';

/**
 * A request as its route reads it. Fields that the route does not know are told to the owner.
 * @throws StarlingError what readJsonObject, `parse` and checkModel throw
 */
export async function readRequest<R extends { readonly model: string | null }>(
  c: Context,
  api: ApiContext,
  route: FieldRoute,
  parse: (body: Readonly<Record<string, unknown>>, origin: RequestOrigin) => R,
): Promise<R> {
  const body = await readJsonObject(c);
  const request = parse(body, requestOrigin(c, api));
  api.unknownFields.tell(unknownFields(route, body));
  checkModel(request.model, api.service);
  return request;
}
