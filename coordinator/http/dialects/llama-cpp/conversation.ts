import type { Context, Handler } from 'hono';
import type { Conversation } from '../../../generation/conversation.ts';
import type { ReadConversation } from '../../../generation/read-conversation.ts';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { type RequestOrigin, requestOrigin } from '../../request-origin.ts';
import { checkModel } from '../../served-model.ts';

type Body = Readonly<Record<string, unknown>>;

/** Reads a body with messages. llama.cpp and vLLM take them as another dialect's chats have them. */
export type ParseMessages = (
  body: Body,
  origin: RequestOrigin,
) => { readonly model: string | null; readonly conversation: Conversation };

/**
 * What the model reads of a conversation.
 * @throws StarlingError what `parse`, checkModel and TextService.prompt throw
 */
export function readConversation(
  c: Context,
  api: ApiContext,
  parse: ParseMessages,
  body: Body,
): Promise<ReadConversation> {
  const { model, conversation } = parse(body, requestOrigin(c, api));
  checkModel(model, api.service);
  return api.service.prompt(conversation, c.req.raw.signal);
}

/** POST /apply-template: the prompt that the chat template makes of messages. */
export function applyTemplate(api: ApiContext, parse: ParseMessages): Handler {
  return async (c) => {
    const { text } = await readConversation(c, api, parse, await readJsonObject(c));
    return c.json({ prompt: text });
  };
}
