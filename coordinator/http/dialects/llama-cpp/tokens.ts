import type { Context, Handler } from 'hono';
import { z } from 'zod';
import type { TextService } from '../../../generation/text-service.ts';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { checkModel } from '../../served-model.ts';
import { validate } from '../../validation.ts';
import { type ParseMessages, readConversation } from './conversation.ts';

type Body = Readonly<Record<string, unknown>>;

const tokenizeBody = z.object({
  content: z.string(),
  add_special: z.boolean().nullish(),
  parse_special: z.boolean().nullish(),
  with_pieces: z.boolean().nullish(),
});
const promptBody = z.object({
  model: z.string().nullish(),
  prompt: z.string(),
  add_special_tokens: z.boolean().nullish(),
});
const countBody = z.object({ return_token_strs: z.boolean().nullish() });
const detokenizeBody = z.object({ tokens: z.array(z.int().min(0)) });

/** As numbers, or with what each stands for: a text, or bytes that are none. */
function contentTokens(service: TextService, body: Body): object {
  const fields = validate(tokenizeBody, body);
  const tokens = service.tokenize(fields.content, {
    addSpecial: fields.add_special === true,
    parseSpecial: fields.parse_special !== false,
  });
  if (fields.with_pieces !== true) return { tokens };
  const described = tokens.map((id) => {
    const { text, bytes } = service.describeToken(id);
    return { id, piece: text.includes('\ufffd') ? [...bytes] : text };
  });
  return { tokens: described };
}

function promptTokens(service: TextService, body: Body): readonly number[] {
  const { model, prompt, add_special_tokens } = validate(promptBody, body);
  checkModel(model ?? null, service);
  return service.tokenize(prompt, { addSpecial: add_special_tokens !== false, parseSpecial: true });
}

/** As vLLM counts them: those of a conversation, or of a prompt. */
async function countedTokens(c: Context, api: ApiContext, parse: ParseMessages, body: Body): Promise<object> {
  const { service } = api;
  const { return_token_strs } = validate(countBody, body);
  const isPrompt = body.messages === undefined || body.messages === null;
  const tokens = isPrompt ? promptTokens(service, body) : (await readConversation(c, api, parse, body)).tokens;
  const texts = return_token_strs === true ? tokens.map((token) => service.describeToken(token).text) : null;
  return { count: tokens.length, max_model_len: service.contextLength, tokens, token_strs: texts };
}

/** POST /tokenize: the tokens of `content`, as llama.cpp tells them; of `prompt` or `messages`, as vLLM does. */
export function tokenize(api: ApiContext, parse: ParseMessages): Handler {
  return async (c) => {
    const body = await readJsonObject(c);
    const isCounted = body.content === undefined && (body.prompt ?? body.messages ?? null) !== null;
    return c.json(isCounted ? await countedTokens(c, api, parse, body) : contentTokens(api.service, body));
  };
}

/** POST /detokenize */
export function detokenize({ service }: ApiContext): Handler {
  return async (c) => {
    const { tokens } = validate(detokenizeBody, await readJsonObject(c));
    return c.json({ content: service.promptText(tokens, 'tokens') });
  };
}
