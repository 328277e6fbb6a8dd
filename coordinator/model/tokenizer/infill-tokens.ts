/** What a token tells a model that fills in a gap: what comes after it. */
export const INFILL_ROLES = ['prefix', 'suffix', 'middle', 'repository', 'file'] as const;
export type InfillRole = (typeof INFILL_ROLES)[number];

/** Keys (tokenizer.ggml.…) by which files name them: today's, and that of older ones. */
export const INFILL_KEYS: Readonly<Record<InfillRole, readonly string[]>> = {
  prefix: ['fim_pre_token_id', 'prefix_token_id'],
  suffix: ['fim_suf_token_id', 'suffix_token_id'],
  middle: ['fim_mid_token_id', 'middle_token_id'],
  repository: ['fim_rep_token_id'],
  file: ['fim_sep_token_id'],
};

/** Texts of these tokens, those that llama.cpp knows (llama-vocab.cpp): many files name no ids. */
export const INFILL_TEXTS: Readonly<Record<InfillRole, readonly string[]>> = {
  prefix: [
    '<|fim_prefix|>',
    '<fim-prefix>',
    '<fim_prefix>',
    '<｜fim▁begin｜>',
    '<PRE>',
    '▁<PRE>',
    '<|code_prefix|>',
    '<|prefix|>',
  ],
  suffix: [
    '<|fim_suffix|>',
    '<fim-suffix>',
    '<fim_suffix>',
    '<｜fim▁hole｜>',
    '<SUF>',
    '▁<SUF>',
    '<|code_suffix|>',
    '<|suffix|>',
  ],
  middle: [
    '<|fim_middle|>',
    '<fim-middle>',
    '<fim_middle>',
    '<｜fim▁end｜>',
    '<MID>',
    '▁<MID>',
    '<|code_middle|>',
    '<|middle|>',
  ],
  repository: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  file: ['<|file_sep|>'],
};

/** The tokens with which a model is asked to fill in a gap. */
export interface InfillTokens {
  readonly prefix: number;
  readonly suffix: number;
  readonly middle: number;
  /** Before the name of a repository, */
  readonly repository: number | null;
  /** and before that of each of its files; null where the model was not taught of others. */
  readonly file: number | null;
}

/**
 * @param named the ids that the model file names
 * @param tokenId the id of the token of exactly this text, or null
 * @returns null where the vocabulary lacks one of those around the gap
 */
export function infillTokens(
  named: Readonly<Record<InfillRole, number | null>>,
  tokenId: (text: string) => number | null,
): InfillTokens | null {
  const idOf = (role: InfillRole): number | null =>
    named[role] ?? INFILL_TEXTS[role].map(tokenId).find((id) => id !== null) ?? null;
  const [prefix, suffix, middle] = [idOf('prefix'), idOf('suffix'), idOf('middle')];
  if (prefix === null || suffix === null || middle === null) return null;
  return { prefix, suffix, middle, repository: idOf('repository'), file: idOf('file') };
}
