import type { Handler } from 'hono';
import type { ApiContext } from './api-context.ts';

/**
 * GET /health: what is served, by which devices, how many requests there are, and how full the KV cache is. 503 once a
 * device is lost.
 */
export function health({ service, devices }: ApiContext): Handler {
  return (c) => {
    const shown = devices();
    const ok = shown.every(({ state }) => state !== 'lost');
    const body = {
      status: ok ? 'ok' : 'degraded',
      model: service.modelId,
      devices: shown,
      queue: service.load,
      kv: service.statistics.kv,
    };
    return c.json(body, ok ? 200 : 503);
  };
}
