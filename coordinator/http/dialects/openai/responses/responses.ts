import type { Handler } from 'hono';
import { z } from 'zod';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { page } from '../../../../batches/bodies.ts';
import type { ApiContext } from '../../../api-context.ts';
import { readJsonObject } from '../../../json-body.ts';
import { requestOrigin } from '../../../request-origin.ts';
import { checkModel } from '../../../served-model.ts';
import { exchangeText } from '../../../text-exchange.ts';
import { validate } from '../../../validation.ts';
import { tokenLogprobs } from '../chat-completions.ts';
import { unknownFields } from '../check-fields.ts';
import type { Item, NewItemId } from './items.ts';
import { parseResponseRequest } from './request.ts';
import { turnsOf } from './turns.ts';
import { type ResponseBody, type ResponseWording, responseEvents, wholeResponse } from './words.ts';

/** As at OpenAI. */
const PAGE = 20;
const MOST_OF_PAGE = 100;

const itemsQuery = z.object({
  after: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(MOST_OF_PAGE).optional(),
  order: z.enum(['asc', 'desc']).optional(),
});

/** POST /v1/responses */
export function createResponse(api: ApiContext): Handler {
  const { service, responses, authentication } = api;
  const newId: NewItemId = (kind) => `${kind}_${api.uniqueId()}`;
  return async (c) => {
    const body = await readJsonObject(c);
    const owner = authentication.ownerOf(c);
    const referred = (id: string, param: string): Item => responses.item(id, owner, param);
    const request = parseResponseRequest(body, requestOrigin(c, api), { newId, referred });
    api.unknownFields.tell(unknownFields('responses', body));
    checkModel(request.model, service);
    const { previousId, settings } = request;
    const before = previousId === null ? null : responses.get(previousId, owner, 'previous_response_id');
    const input = [...(before?.input ?? []), ...(before?.body.output ?? []), ...request.items];
    const conversation = { ...request.conversation, messages: turnsOf(request.instructions, input) };
    // What is asked for within this process is kept by whoever asks.
    const isKept = request.store && !authentication.isInternal(c);
    const keep = (response: ResponseBody): void => {
      if (isKept) responses.add({ body: response, input }, owner);
    };
    const wording: ResponseWording = {
      head: { id: `resp_${api.uniqueId()}`, model: service.modelId, createdAt: api.unixTime(), echo: request.echo },
      newId,
      logprobs: (token) => (settings.logprobs === null ? null : tokenLogprobs(service, token)),
      unixTime: api.unixTime,
    };
    return exchangeText(c, api, {
      begin: (signal) => service.chat(conversation, settings, signal, 'input'),
      prompts: 1,
      answersToPrompt: 1,
      stream: request.stream ? responseEvents(wording, keep) : null,
      response: ([answer], usage) => {
        const response = wholeResponse(wording, answer!, usage);
        keep(response);
        return response;
      },
    });
  };
}

/** GET /v1/responses/:id */
export function getResponse({ responses, authentication }: ApiContext): Handler {
  return (c) => {
    if (c.req.query('stream') === 'true') {
      const message = "'stream' is not supported here: a response that is kept is over; leave it out";
      throw new StarlingError('unsupported_parameter', message, { param: 'stream' });
    }
    return c.json(responses.get(c.req.param('id') ?? '', authentication.ownerOf(c)).body);
  };
}

/** DELETE /v1/responses/:id */
export function deleteResponse({ responses, authentication }: ApiContext): Handler {
  return (c) => {
    const id = c.req.param('id') ?? '';
    responses.delete(id, authentication.ownerOf(c));
    return c.json({ id, object: 'response', deleted: true });
  };
}

/** GET /v1/responses/:id/input_items: the latest first, unless asked otherwise */
export function listInputItems({ responses, authentication }: ApiContext): Handler {
  return (c) => {
    const { after, limit = PAGE, order } = validate(itemsQuery, c.req.query());
    const { input } = responses.get(c.req.param('id') ?? '', authentication.ownerOf(c));
    return c.json(page(order === 'asc' ? input : [...input].reverse(), after ?? null, limit));
  };
}
