import type { Handler } from 'hono';
import type { TextService } from '../../../generation/text-service.ts';
import type { ApiContext } from '../../api-context.ts';
import { checkModel } from '../../served-model.ts';

/** What is not known of a model is null. */
const modelInfo = ({ modelId, created, contextLength }: TextService): object => ({
  type: 'model',
  id: modelId,
  display_name: modelId,
  created_at: new Date(created * 1000).toISOString(),
  max_input_tokens: contextLength,
  max_tokens: contextLength,
  capabilities: null,
  line: null,
  lifecycle: 'active',
  deprecated_at: null,
  retires_at: null,
});

/** GET /v1/models: all of them are on one page. */
export function listModels({ service }: ApiContext): Handler {
  const { modelId } = service;
  return (c) => c.json({ data: [modelInfo(service)], has_more: false, first_id: modelId, last_id: modelId });
}

/** GET /v1/models/:id */
export function getModel({ service }: ApiContext): Handler {
  return (c) => {
    checkModel(c.req.param('id') ?? null, service);
    return c.json(modelInfo(service));
  };
}
