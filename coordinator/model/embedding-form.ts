import type { Metadata } from './gguf/metadata.ts';

/** What a model file says of embeddings. */
export interface EmbeddingForm {
  /** How tokens' hidden states become one vector; null where it does not say, `other` for what is not done here. */
  readonly pooling: 'mean' | 'last' | 'other' | null;
  /** Token that ends each text, which a model that was trained for embeddings may read all of the text at. */
  readonly end: number | null;
}

/** ggml's pooling types, as `{arch}.pooling_type` numbers them. */
const POOLING_TYPES = [null, 'mean', 'other', 'last'] as const;

/**
 * @param eos the vocabulary's end of text
 * @throws StarlingError model_invalid where a value is not of its type
 */
export function embeddingForm(metadata: Metadata, eos: number | null): EmbeddingForm {
  const type = metadata.number(`${metadata.string('general.architecture')}.pooling_type`, 0);
  // Unigram's default is llama.cpp's.
  const isUnigram = metadata.string('tokenizer.ggml.model') === 't5';
  const hasEnd = metadata.boolean('tokenizer.ggml.add_eos_token', isUnigram);
  const known = POOLING_TYPES[type];
  return { pooling: known === undefined ? 'other' : known, end: hasEnd ? eos : null };
}
