import type { Handler } from 'hono';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { requestOrigin } from '../../request-origin.ts';
import { checkModel } from '../../served-model.ts';
import { exchangeText } from '../../text-exchange.ts';
import { parseCount, parseMessages } from './request.ts';
import { messageBody, messageStream } from './words.ts';

/** POST /v1/messages */
export function messages(api: ApiContext): Handler {
  const { service } = api;
  return async (c) => {
    const body = await readJsonObject(c);
    const { model, conversation, settings, stream } = parseMessages(body, requestOrigin(c, api), api.unknownFields);
    checkModel(model, service);
    const head = { id: `msg_${api.uniqueId()}`, model: service.modelId };
    return exchangeText(c, api, {
      begin: (signal) => service.chat(conversation, settings, signal),
      prompts: 1,
      answersToPrompt: 1,
      stream: stream ? messageStream(head) : null,
      response: ([answer], usage) => messageBody(head, answer!, usage),
    });
  };
}

/** POST /v1/messages/count_tokens */
export function countTokens({ service }: ApiContext): Handler {
  return async (c) => {
    const { model, conversation } = parseCount(await readJsonObject(c));
    checkModel(model, service);
    const { tokens } = await service.prompt(conversation, c.req.raw.signal);
    return c.json({ input_tokens: tokens.length });
  };
}
