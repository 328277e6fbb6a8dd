import { digitGroups } from './digit-groups.ts';
import type { Splitter } from './split-matcher.ts';

/**
 * Cuts text into pieces: a pattern whose matches are pieces, as is what stands between them, or a function. Of several
 * rules each cuts what the ones before it have left, and sees nothing beyond its piece.
 */
export type SplitRule = string | Splitter;

/*
 * The rules are those of the models' own tokenizers (tokenizer.json, tiktoken), also where llama.cpp comes close to
 * them only: it does not tell the cases of letters beyond ASCII apart (tekken, gpt-4o) nor fold ſ to s. An expression
 * that ignores case there has its letters in both cases here, and ſ, which Unicode folds to s.
 */

const p = String.raw;

/** (?i:'s|'t|'re|'ve|'m|'ll|'d) */
const SUFFIX = "'(?:[sSſ]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])";
const SPACES = p`\s+(?!\S)|\s+`;
const LINES = p`\s*[\r\n]+|${SPACES}`;
const WORD = p`[^\r\n\p{L}\p{N}]?\p{L}+`;
const SYMBOLS = p` ?[^\s\p{L}\p{N}]+`;
const THREE_DIGITS = p`\p{N}{1,3}`;
const EACH_DIGIT = p`\p{N}`;
const ASCII_SYMBOLS = p`!-\/:-@\[-\x60\{-~`;
const HAN_AND_KANA = p`[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+`;
/** Han and Hangul, and by the way most scripts of Asia and most symbols. */
const OLD_CJK = p`[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+`;

const GPT_2_PATTERN = p`'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+|${SYMBOLS}|${SPACES}`;

export const GPT_2: readonly SplitRule[] = [GPT_2_PATTERN];

/** GPT-2's between single digits. */
export const STARCODER: readonly SplitRule[] = [EACH_DIGIT, GPT_2_PATTERN];

/** GPT-4's (cl100k_base). */
export const LLAMA_3: readonly SplitRule[] = [modern(THREE_DIGITS)];

export const QWEN_2: readonly SplitRule[] = [modern(EACH_DIGIT)];

export const QWEN_3_5: readonly SplitRule[] = [
  p`${SUFFIX}|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|${LINES}`,
];

export const MINICPM_5: readonly SplitRule[] = [THREE_DIGITS, modern(p`\p{N}+`)];

export const LAGUNA: readonly SplitRule[] = [p`[^\n]+|\n+`, modern(EACH_DIGIT)];

/** White space in runs of powers of two. */
export const JAIS_2: readonly SplitRule[] = [
  p`${SUFFIX}|${WORD}|${THREE_DIGITS}|${SYMBOLS}[\r\n]*|\s*[\r\n]+|${[512, 256, 128, 64, 32, 16, 8, 4, '1,2']
    .map((count) => p`\s{${count}}(?!\S)`)
    .join('|')}|\s`,
];

/** No suffix of English is cut off. */
export const UFAKZEKA: readonly SplitRule[] = [p`${WORD}|${EACH_DIGIT}|${SYMBOLS}[\r\n]*|${LINES}`];

export const BAILING: readonly SplitRule[] = [p`${SUFFIX}|${WORD}|${EACH_DIGIT}|${SYMBOLS}[\r\n]*|\s*[\r\n]|${SPACES}`];

export const SEED_CODER: readonly SplitRule[] = [p`${SUFFIX}|${WORD}|${EACH_DIGIT}|${SYMBOLS}|${LINES}`];

/** Several words are one piece. */
export const EXAONE_MOE: readonly SplitRule[] = [
  p`${SUFFIX}|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|${EACH_DIGIT}|${SYMBOLS}[\r\n\/]?|\s*[\r\n]|${SPACES}`,
];

export const TEKKEN: readonly SplitRule[] = [cased('', EACH_DIGIT)];

/** o200k_base. */
export const GPT_4O: readonly SplitRule[] = [cased(`(?:${SUFFIX})?`, THREE_DIGITS)];

export const TINY_AYA: readonly SplitRule[] = [digitGroups(/^\p{Nd}$/u, { wordsWhole: true }), ...GPT_4O];

/** Han runs first, and none within words. */
export const KIMI_K2: readonly SplitRule[] = [
  p`\p{Script=Han}+|${casedWords(`(?:${SUFFIX})?`, p`--\p{Script=Han}`)}|${THREE_DIGITS}|${SYMBOLS}[\r\n]*|${LINES}`,
];

export const YOUTU: readonly SplitRule[] = [
  p`[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|${HAN_AND_KANA}`,
  cased(`(?:${SUFFIX})?`, EACH_DIGIT),
];

const SYMBOL_AND_WORD = p`[${ASCII_SYMBOLS}][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+`;

export const DEEPSEEK_3: readonly SplitRule[] = [THREE_DIGITS, HAN_AND_KANA, p`${SYMBOL_AND_WORD}[\r\n]*|${LINES}`];

export const SPARK: readonly SplitRule[] = [
  THREE_DIGITS,
  HAN_AND_KANA,
  p`${SYMBOL_AND_WORD}|[\r\n]|${SPACES}`,
  EACH_DIGIT,
];

export const AFMOE: readonly SplitRule[] = [
  digitGroups(/^\p{N}$/u),
  // Han, kana, Thai, Lao, Khmer, Myanmar, Hangul
  p`[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+`,
  p`${SYMBOL_AND_WORD}[\r\n]*|${LINES}`,
];

/** Letters of scripts that have cases, as far as the model's tokenizer knows them. */
const CASED_LETTERS = [
  p`A-Za-z`,
  p`\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377`,
  p`\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f`,
  p`\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77`,
  p`\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d`,
  p`\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb`,
  p`\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128`,
  p`\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4`,
  p`\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf`,
  p`\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}`,
  p`\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}`,
].join('');

export const DEEPSEEK_LLM: readonly SplitRule[] = [
  p`[\r\n]`,
  p`\s?[${CASED_LETTERS}]+`,
  p`\s?[!-\/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+`,
  p`\s+$`,
  OLD_CJK,
  EACH_DIGIT,
];

export const DEEPSEEK_CODER: readonly SplitRule[] = [p`[\r\n]`, p`\s?\p{L}+`, p`\s?\p{P}+`, OLD_CJK, EACH_DIGIT];

export const FALCON: readonly SplitRule[] = [p`[\p{P}$+<=>\^~\|\x60]+`, GPT_2_PATTERN, '[0-9]{3}'];

/** What llama.cpp takes where a file names no rules: Falcon's, nearly. */
export const UNNAMED: readonly SplitRule[] = [p`[\p{P}$+<=>\^~\|]+`, GPT_2_PATTERN, p`\p{N}+`, '[0-9]{3}'];

export const BLOOM: readonly SplitRule[] = [p` ?[^\(\s\|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c\)]+`];

export const VIKING: readonly SplitRule[] = [...BLOOM, EACH_DIGIT];

/** Words are not cut, only numbers. */
export const SUPERBPE: readonly SplitRule[] = [p`\p{N}+`, digitGroups(/^\p{Nd}$/u, { apart: false })];

export const CHAMELEON: readonly SplitRule[] = [
  '<sentinel:[0-9]+>',
  'IMGIMG[A-I]{1,4}Z',
  p`[\t\n]|    |  `,
  EACH_DIGIT,
  p`[\p{P}${ASCII_SYMBOLS}]`,
  GPT_2_PATTERN,
];

function modern(digits: string): string {
  return p`${SUFFIX}|${WORD}|${digits}|${SYMBOLS}[\r\n]*|${LINES}`;
}

/** A word begins with its capitals. */
function cased(suffix: string, digits: string): string {
  return p`${casedWords(suffix)}|${digits}|${SYMBOLS}[\r\n\/]*|${LINES}`;
}

/** @param without a set to be taken from the letters */
function casedWords(suffix: string, without = ''): string {
  const upper = p`[[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]${without}]`;
  const lower = p`[[\p{Ll}\p{Lm}\p{Lo}\p{M}]${without}]`;
  const before = p`[^\r\n\p{L}\p{N}]?`;
  return `${before}${upper}*${lower}+${suffix}|${before}${upper}+${lower}*${suffix}`;
}
