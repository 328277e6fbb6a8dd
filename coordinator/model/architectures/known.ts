import type { Architecture } from './architecture.ts';
import { gemma2 } from './gemma2.ts';
import { gemma3 } from './gemma3.ts';
import { glm4 } from './glm4.ts';
import { glm4moe } from './glm4moe.ts';
import { gptOss } from './gpt-oss.ts';
import { granite } from './granite.ts';
import { llama } from './llama.ts';
import { mistral3 } from './mistral3.ts';
import { olmo2 } from './olmo2.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen2moe } from './qwen2moe.ts';
import { qwen3 } from './qwen3.ts';
import { qwen3moe } from './qwen3moe.ts';
import { smollm3 } from './smollm3.ts';

/** Architectures by their names in `general.architecture`. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  ...{ llama, mistral3, qwen2, qwen3, qwen2moe, qwen3moe, 'gpt-oss': gptOss, gemma2, gemma3 },
  ...{ phi3, glm4, glm4moe, granite, granitemoe: granite, smollm3, olmo2 },
};
