import type { Handler } from 'hono';
import { pagesFor } from '../../../../daemon/engine/engine-spec.ts';
import type { TextService } from '../../../generation/text-service.ts';
import type { ApiContext } from '../../api-context.ts';

/** Conversations of full length that are computed at a time. There are no slots here: shorter ones are more. */
function slotsOf({ statistics, contextLength }: TextService): number {
  return Math.max(1, Math.floor(statistics.kv.pages / pagesFor(contextLength)));
}

/** GET /props: what is served. */
export function props({ service, facts }: ApiContext): Handler {
  return (c) =>
    c.json({
      default_generation_settings: { n_ctx: service.contextLength },
      total_slots: slotsOf(service),
      model_alias: service.modelId,
      model_path: service.modelId,
      chat_template: facts.template,
      modalities: { vision: false, audio: false },
    });
}

/** GET /slots: as many as requests are computed, or there is room for. */
export function slots({ service }: ApiContext): Handler {
  return (c) => {
    const { running } = service.load;
    const count = Math.max(running, slotsOf(service));
    return c.json(
      Array.from({ length: count }, (_, id) => ({ id, n_ctx: service.contextLength, is_processing: id < running })),
    );
  };
}
