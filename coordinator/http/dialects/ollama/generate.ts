import type { Handler } from 'hono';
import type { ApiContext } from '../../api-context.ts';
import { collectCalls } from '../../collect-calls.ts';
import { readJsonObject } from '../../json-body.ts';
import { requestOrigin } from '../../request-origin.ts';
import { exchangeText } from '../../text-exchange.ts';
import { checkOllamaModel } from './models.ts';
import { parseChat, parseGenerate } from './request.ts';
import { chatFields, endFields, generateFields, lineStream, type SaidFields } from './words.ts';

/** A route that writes a text. */
function writes(api: ApiContext, parse: typeof parseChat, fields: SaidFields): Handler {
  const { service } = api;
  return async (c) => {
    const body = await readJsonObject(c);
    const { model, asked, settings, stream } = parse(body, requestOrigin(c, api), api.unknownFields);
    checkOllamaModel(model, service);
    const base = () => ({
      model: model ?? service.modelId,
      created_at: new Date(api.unixTime() * 1000).toISOString(),
    });
    if (asked === null) {
      // Clients ask for no text to have the model loaded or unloaded.
      const done_reason = body.keep_alive === 0 ? 'unload' : 'load';
      return c.json({ ...base(), ...fields({ text: '', thinking: '', calls: [] }), done: true, done_reason });
    }
    return exchangeText(c, api, {
      begin: (signal) =>
        'prompt' in asked
          ? service.complete([asked.prompt], settings, signal)
          : service.chat(asked.conversation, settings, signal),
      prompts: 1,
      answersToPrompt: 1,
      stream: stream ? lineStream(base, fields) : null,
      response: ([answer], usage) => {
        const { text, reasoning, calls, finishReason, timings } = answer!;
        const said = fields({ text, thinking: reasoning, calls: collectCalls(calls) });
        return { ...base(), ...said, ...endFields(finishReason, usage, timings) };
      },
    });
  };
}

/** POST /api/chat */
export const chat = (api: ApiContext): Handler => writes(api, parseChat, chatFields);

/** POST /api/generate */
export const generate = (api: ApiContext): Handler => writes(api, parseGenerate, generateFields);
