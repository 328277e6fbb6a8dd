import type { Architecture } from './architecture.ts';
import { gemma2 } from './gemma2.ts';
import { gemma3 } from './gemma3.ts';
import { glm4 } from './glm4.ts';
import { granite } from './granite.ts';
import { llama } from './llama.ts';
import { mistral3 } from './mistral3.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { smollm3 } from './smollm3.ts';

/** Architectures by their names in `general.architecture`. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  ...{ llama, mistral3, qwen2, qwen3, gemma2, gemma3, phi3, glm4, granite, smollm3 },
};
