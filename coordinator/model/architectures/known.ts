import type { Architecture } from './architecture.ts';
import { llama } from './llama.ts';

/** Architectures by their names in `general.architecture`. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = { llama };
