import type { TextCodec } from './generation/text-codec.ts';
import { tokenizerCodec } from './generation/tokenizer-codec.ts';
import { type ToolCallForm, toolCallForm } from './generation/tool-calls/known-families.ts';
import { type EmbeddingForm, embeddingForm } from './model/embedding-form.ts';
import type { OpenModel } from './model/open-model.ts';
import { type ReasoningForm, reasoningForm } from './model/reasoning-marks.ts';
import { ChatTemplate } from './model/template/chat-template.ts';
import { defaultTemplate } from './model/template/default-template.ts';
import { type InfillTokens, infillTokens } from './model/tokenizer/infill-tokens.ts';
import { createTokenizer } from './model/tokenizer/tokenizer.ts';
import { readVocabulary } from './model/tokenizer/vocabulary.ts';

/** What turns text into token ids and back for one model. */
export interface TextTools {
  readonly codec: TextCodec;
  readonly template: ChatTemplate;
  /** Whether the template is the model file's own. */
  readonly hasTemplate: boolean;
  /** How the model marks its reasoning; null where it does not. */
  readonly reasoning: ReasoningForm | null;
  /** How it writes calls of tools; null where it cannot be offered any. */
  readonly toolCalls: ToolCallForm | null;
  readonly embedding: EmbeddingForm;
  /** Tokens around a gap that it fills in; null where its vocabulary has none. */
  readonly infill: InfillTokens | null;
  /** What about the vocabulary and the template a user should know. */
  readonly warnings: readonly string[];
}

/** @throws StarlingError model_unsupported_tokenizer, model_invalid */
export function openTextTools({ gguf: { metadata } }: OpenModel): TextTools {
  const vocabulary = readVocabulary(metadata);
  const tokenizer = createTokenizer(vocabulary);
  const source = metadata.has('tokenizer.chat_template') ? metadata.string('tokenizer.chat_template') : null;
  const template = new ChatTemplate(
    source ?? defaultTemplate((text) => tokenizer.tokenId(text) !== null),
    tokenizer.bos?.text ?? '',
    tokenizer.eos?.text ?? '',
  );
  const { fault } = template;
  const unreadable = `the file's chat template (tokenizer.chat_template) cannot be read: ${fault}; chats will fail, prompts work; give a model file with another template`;
  const warnings = [vocabulary.warning, fault === null ? null : unreadable].filter((warning) => warning !== null);
  const tokenId = (text: string): number | null => tokenizer.tokenId(text);
  return {
    codec: tokenizerCodec(tokenizer),
    template,
    hasTemplate: source !== null,
    reasoning: reasoningForm(template.source, tokenId),
    toolCalls: toolCallForm(template.source, tokenId),
    embedding: embeddingForm(metadata, vocabulary.eos),
    infill: infillTokens(vocabulary.infill, tokenId),
    warnings,
  };
}
