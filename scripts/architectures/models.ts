import type { ArchitectureModel } from './architecture-model.ts';
import { DENSE_MODELS } from './dense-models.ts';
import { EXPERT_MODELS } from './expert-models.ts';

export const ARCHITECTURE_MODELS: readonly ArchitectureModel[] = [...DENSE_MODELS, ...EXPERT_MODELS];
