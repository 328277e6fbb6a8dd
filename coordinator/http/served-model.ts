import { StarlingError } from '../../daemon/errors.ts';
import type { TextService } from '../generation/text-service.ts';

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
