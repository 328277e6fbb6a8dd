import type { Handler } from 'hono';
import type { ApiContext } from './api-context.ts';

/** GET /health: what is served, by which devices, and how many requests there are. */
export function health({ service, devices }: ApiContext): Handler {
  return (c) => c.json({ status: 'ok', model: service.modelId, devices: devices(), queue: service.load });
}
