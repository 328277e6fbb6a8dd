import * as rules from './split-rules.ts';

/** How a byte-level BPE vocabulary cuts text before merging, and what else hangs on the name of that. */
export interface Pretokenizer {
  readonly rules: readonly rules.SplitRule[];
  /** Text is composed (NFC) first. */
  readonly composes: boolean;
  /** A piece that is a token is that token, whatever its merges would make ("ignore_merges"). */
  readonly wholePieces: boolean;
  /** Text begins with BOS unless the file says otherwise. */
  readonly addBos: boolean;
}

type Traits = Partial<Omit<Pretokenizer, 'rules'>>;

/**
 * The names that llama.cpp gives to rules (`tokenizer.ggml.pre`), of models that write text. Whether text is composed
 * is in no file and llama.cpp does not do it, but the tokenizers of these models do.
 */
const NAMES: readonly (readonly [names: string, of: readonly rules.SplitRule[], traits?: Traits])[] = [
  ['gpt-2 phi-2 jais gigachat a.x-4.0 mellum exaone4 trillion granite-docling', rules.GPT_2],
  ['mpt olmo', rules.GPT_2, { composes: true }],
  ['starcoder refact smollm codeshell exaone minerva-7b mellum2', rules.STARCODER],
  ['command-r', rules.STARCODER, { composes: true }],
  [
    'llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2',
    rules.LLAMA_3,
    { wholePieces: true, addBos: true },
  ],
  ['dbrx smaug-bpe chatglm-bpe glm4', rules.LLAMA_3],
  ['qwen2', rules.QWEN_2, { composes: true }],
  ['deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2', rules.QWEN_2],
  ['qwen35', rules.QWEN_3_5, { composes: true }],
  ['gpt-4o llama4 kanana2 talkie minimax-m2', rules.GPT_4O],
  ['tekken', rules.TEKKEN, { wholePieces: true, addBos: true }],
  ['deepseek-llm', rules.DEEPSEEK_LLM],
  ['deepseek-coder', rules.DEEPSEEK_CODER],
  ['deepseek-v3 hunyuan-dense joyai-llm hy_v4', rules.DEEPSEEK_3],
  ['kimi-k2', rules.KIMI_K2],
  ['bailingmoe bailingmoe2 llada-moe', rules.BAILING],
  ['seed-coder', rules.SEED_CODER],
  ['exaone-moe', rules.EXAONE_MOE],
  ['minicpm5', rules.MINICPM_5, { wholePieces: true }],
  ['youtu', rules.YOUTU, { wholePieces: true }],
  ['tiny_aya cohere2moe', rules.TINY_AYA],
  ['afmoe', rules.AFMOE],
  ['laguna', rules.LAGUNA],
  ['spark2_5', rules.SPARK],
  ['jais-2', rules.JAIS_2],
  ['falcon', rules.FALCON],
  ['bloom gpt3-finnish poro-chat', rules.BLOOM],
  ['viking', rules.VIKING],
  ['superbpe', rules.SUPERBPE],
  ['ufakzeka', rules.UFAKZEKA],
  ['chameleon', rules.CHAMELEON, { addBos: true }],
  ['default', rules.UNNAMED],
];

const PRETOKENIZERS: ReadonlyMap<string, Pretokenizer> = new Map(
  NAMES.flatMap(([names, of, traits]) => {
    const pretokenizer = { composes: false, wholePieces: false, addBos: false, ...traits, rules: of };
    return names.split(' ').map((name) => [name, pretokenizer] as const);
  }),
);

/** The names that are known, in alphabetical order. */
export const PRETOKENIZER_NAMES: readonly string[] = [...PRETOKENIZERS.keys()].sort();

/** @returns null where the name is not known */
export function pretokenizerNamed(name: string): Pretokenizer | null {
  return PRETOKENIZERS.get(name) ?? null;
}
