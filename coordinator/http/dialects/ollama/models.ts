import type { Handler } from 'hono';
import { StarlingError } from '../../../../daemon/errors.ts';
import type { TextService } from '../../../generation/text-service.ts';
import type { ModelFacts } from '../../../model-facts.ts';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { checkModel } from '../../served-model.ts';

/** As checkModel; a tag that says nothing may follow the name. @throws StarlingError model_not_found */
export function checkOllamaModel(model: string | null, service: TextService): void {
  checkModel(model === null || model === service.modelId ? model : model.replace(/:latest$/, ''), service);
}

/** The name that the body of a request gives, under either key. @throws StarlingError invalid_request */
function namedModel({ model, name }: Readonly<Record<string, unknown>>): string {
  const given = model ?? name;
  if (typeof given === 'string') return given;
  throw new StarlingError('invalid_request', `'model' is missing; give the name of a model`, { param: 'model' });
}

const details = ({ facts }: ApiContext) => ({
  parent_model: '',
  format: 'gguf',
  family: facts.architecture,
  families: [facts.architecture],
  parameter_size: facts.size,
  quantization_level: facts.quantization,
});

/** The model in lists. Names are ours, as clients give them back. */
function listed(api: ApiContext): object {
  const { service, facts } = api;
  return {
    name: service.modelId,
    model: service.modelId,
    size: facts.bytes,
    digest: facts.digest,
    details: details(api),
  };
}

const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
/** The model stays loaded; clients show a time long from now as for ever. */
const NEVER = '2318-03-07T00:00:00Z';

/** GET /api/tags: the one model there is. */
export function tags(api: ApiContext): Handler {
  return (c) => c.json({ models: [{ ...listed(api), modified_at: time(api.service.created) }] });
}

/** GET /api/ps: it is loaded. */
export function ps(api: ApiContext): Handler {
  const { service, facts } = api;
  return (c) =>
    c.json({
      models: [{ ...listed(api), expires_at: NEVER, size_vram: facts.bytes, context_length: service.contextLength }],
    });
}

/** What the model is good for. One that was made for embeddings is not there to write. */
function capabilities({ embeds, callsTools, fillsIn, thinks }: ModelFacts): string[] {
  if (embeds) return ['embedding'];
  const more = { tools: callsTools, insert: fillsIn, thinking: thinks };
  return ['completion', ...Object.entries(more).flatMap(([name, isThere]) => (isThere ? [name] : []))];
}

/** POST /api/show */
export function show(api: ApiContext): Handler {
  const { service, facts } = api;
  return async (c) => {
    checkOllamaModel(namedModel(await readJsonObject(c)), service);
    return c.json({
      modelfile: '',
      parameters: '',
      template: facts.template,
      details: details(api),
      model_info: {
        'general.architecture': facts.architecture,
        [`${facts.architecture}.context_length`]: service.contextLength,
      },
      capabilities: capabilities(facts),
      modified_at: time(service.created),
    });
  };
}

/** POST /api/pull: what is served is there; nothing else is fetched. */
export function pull({ service }: ApiContext): Handler {
  return async (c) => {
    checkOllamaModel(namedModel(await readJsonObject(c)), service);
    return c.text(`${JSON.stringify({ status: 'success' })}\n`, 200, { 'Content-Type': 'application/x-ndjson' });
  };
}

/** A route of what is not done here. @param why with what to do instead */
export function refuses(why: string): () => Handler {
  return () => (c) => {
    throw new StarlingError('unsupported_parameter', `${c.req.method} ${c.req.path} is not supported here: ${why}`);
  };
}
