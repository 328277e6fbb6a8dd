import type { Handler } from 'hono';
import type { TextService } from '../../../generation/text-service.ts';
import type { ApiContext } from '../../api-context.ts';
import { checkModel } from '../../served-model.ts';

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
