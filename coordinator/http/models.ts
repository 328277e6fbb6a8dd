import type { Handler } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import type { TextService } from '../generation/text-service.ts';
import type { ApiContext } from './api-context.ts';

/** Names that stand for whatever model is served, so that a client need not know it. */
const MODEL_ALIASES: readonly string[] = ['starling', 'default'];

/**
 * Checks that a request means the served model; null means "whichever".
 * @throws StarlingError model_not_found naming the models available
 */
export function checkModel(model: string | null, service: TextService): void {
  if (model === null || model === service.modelId || MODEL_ALIASES.includes(model)) return;
  throw new StarlingError(
    'model_not_found',
    `the model '${model.slice(0, 100)}' is not served here; use '${service.modelId}' (or 'starling', which always means the served model)`,
    { param: 'model' },
  );
}

function modelObject(service: TextService): Record<string, unknown> {
  return {
    id: service.modelId,
    object: 'model',
    created: service.created,
    owned_by: 'starling',
    context_length: service.contextLength,
  };
}

/** GET /v1/models */
export function listModels({ service }: ApiContext): Handler {
  return (c) => c.json({ object: 'list', data: [modelObject(service)] });
}

/** GET /v1/models/:id */
export function getModel({ service }: ApiContext): Handler {
  return (c) => {
    checkModel(c.req.param('id') ?? null, service);
    return c.json(modelObject(service));
  };
}
