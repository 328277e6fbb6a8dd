import type { Handler } from 'hono';
import type { PlanHealth } from '../cluster/cluster.ts';
import { reportLeftOut } from '../cluster/planner/plan-report.ts';
import type { ApiContext } from './api-context.ts';

/**
 * GET /health: what is served, by which devices, how many requests there are, and how full the KV cache is. 503 once a
 * device is lost. Where devices were measured, also what a token was expected to take, what it takes, and which devices
 * would only make it slower.
 */
export function health({ service, devices, plan }: ApiContext): Handler {
  return (c) => {
    const shown = devices();
    const ok = shown.every(({ state }) => state !== 'lost');
    const body = {
      status: ok ? 'ok' : 'degraded',
      model: service.modelId,
      devices: shown,
      ...planned(plan()),
      queue: service.load,
      kv: service.statistics.kv,
    };
    return c.json(body, ok ? 200 : 503);
  };
}

function planned(plan: PlanHealth | null): object {
  if (plan === null) return {};
  const { predicted, measuredTokenMs, leftOut } = plan;
  return {
    left_out: leftOut.map(reportLeftOut),
    predicted: {
      token_ms: predicted.tokenMs,
      prompt_ms: predicted.promptMs,
      prompt_tokens: predicted.promptTokens,
    },
    measured: { token_ms: measuredTokenMs },
  };
}
