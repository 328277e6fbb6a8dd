import type { Conversation } from '../../coordinator/generation/conversation.ts';
import type { Prompt } from '../../coordinator/generation/fill-in-the-middle.ts';
import type { ChatRenderer } from '../../coordinator/generation/text-codec.ts';
import { type TextEvent, TextService, type TextSettings } from '../../coordinator/generation/text-service.ts';
import { tokenizerCodec } from '../../coordinator/generation/tokenizer-codec.ts';
import { toolCallForm } from '../../coordinator/generation/tool-calls/known-families.ts';
import type { LanguageModel, SequenceRows } from '../../coordinator/language-model.ts';
import { openGguf } from '../../coordinator/model/gguf/reader.ts';
import { reasoningForm } from '../../coordinator/model/reasoning-marks.ts';
import { ChatRendering } from '../../coordinator/model/template/chat-rendering.ts';
import { type ChatMessage, ChatTemplate, type RenderOptions } from '../../coordinator/model/template/chat-template.ts';
import { raw, typedRanges } from '../../coordinator/model/template/jinja/text.ts';
import type { RenderedText } from '../../coordinator/model/template/render-process.ts';
import { createTokenizer } from '../../coordinator/model/tokenizer/tokenizer.ts';
import { readVocabulary } from '../../coordinator/model/tokenizer/vocabulary.ts';
import { pagesFor } from '../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { packageRoot } from '../../daemon/paths.ts';

const MODEL = 'coordinator/models/tiny-chat-q8_0.gguf';
const CONTEXT = 512;
const MOST_TOKENS = 2;
/** How much likelier the end of a text is than any other token: one text in five ends at once. */
const END_LOGIT = 5;

/** One rendering in so many. */
const FAR = 64;

/** The embedded model's own says nothing of tools or reasoning. */
const TEMPLATE = `{%- if tools %}Write <tool_call> to call one of:{% for tool in tools %} {{ tool | tojson }}{% endfor %}{% endif %}
{%- for message in messages %}<|{{ message.role }}|>
{%- if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}{{ message.content }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|end|>
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}`;

/** A model that finds the end likeliest, whatever it reads. */
class BriefModel implements LanguageModel {
  readonly dim = 16;
  readonly contextLength = CONTEXT;
  readonly kvPages = 8 * pagesFor(CONTEXT);
  readonly vocabSize: number;
  readonly #logits: Float32Array;

  constructor(vocabSize: number, isEnd: (token: number) => boolean) {
    this.vocabSize = vocabSize;
    this.#logits = Float32Array.from({ length: vocabSize }, (_, token) => (isEnd(token) ? END_LOGIT : 0));
  }

  async step(batch: readonly SequenceRows[]): Promise<Float32Array[]> {
    return batch.flatMap(({ logits, hidden = 0 }) => [
      ...Array.from({ length: hidden }, () => new Float32Array(this.dim).fill(1)),
      ...Array.from({ length: logits }, () => this.#logits.slice()),
    ]);
  }
}

/** Renders as the render process does, and has it render some conversations only, as that takes longer. */
class MixedTemplate implements ChatRenderer {
  readonly source = TEMPLATE;
  readonly #process: ChatTemplate;
  readonly #here: ChatRendering;
  #renderings = 0;

  constructor(bosText: string, eosText: string) {
    this.#process = new ChatTemplate(TEMPLATE, bosText, eosText);
    this.#here = new ChatRendering({ source: TEMPLATE, bosText, eosText });
  }

  async render(messages: readonly ChatMessage[], options: RenderOptions): Promise<RenderedText> {
    if (this.#renderings++ % FAR === 0) return this.#process.render(messages, options);
    const { addGenerationPrompt, tools = null, variables = {} } = options;
    const given = JSON.stringify({ ...variables, messages, tools, add_generation_prompt: addGenerationPrompt });
    try {
      const text = this.#here.render(JSON.parse(given), new Date());
      return { text: raw(text), typed: typedRanges(text) };
    } catch (cause) {
      throw new StarlingError('template_failed', `the chat template failed: ${cause}`, { cause });
    }
  }

  close(): void {
    this.#process.close();
  }
}

/** A text service in which only the arithmetic is missing, and whose answers have a token or two. */
class BriefService extends TextService {
  override chat(
    conversation: Conversation,
    settings: TextSettings,
    signal?: AbortSignal,
    param?: string,
  ): AsyncGenerator<TextEvent, void> {
    return super.chat(conversation, brief(settings), signal, param);
  }

  override complete(
    prompts: readonly Prompt[],
    settings: TextSettings,
    signal?: AbortSignal,
  ): AsyncGenerator<TextEvent, void> {
    return super.complete(prompts, brief(settings), signal);
  }
}

const brief = (settings: TextSettings): TextSettings => ({
  ...settings,
  maxTokens: Math.min(settings.maxTokens ?? MOST_TOKENS, MOST_TOKENS),
});

/** Makes services with the embedded model's tokenizer and one chat template, whose process they share. */
export async function briefServices(): Promise<{ make: (log: Logger) => TextService; close: () => void }> {
  const file = await openGguf(`${packageRoot()}/${MODEL}`);
  const vocabulary = readVocabulary(file.metadata);
  await file.close();
  const tokenizer = createTokenizer(vocabulary);
  const codec = tokenizerCodec(tokenizer);
  const tokenId = (text: string): number | null => tokenizer.tokenId(text);
  const template = new MixedTemplate(tokenizer.bos?.text ?? '', tokenizer.eos?.text ?? '');
  const words = {
    codec,
    template,
    reasoning: reasoningForm(TEMPLATE, tokenId),
    toolCalls: toolCallForm(TEMPLATE, tokenId),
  };
  return {
    make: (log) => {
      const model = new BriefModel(vocabulary.tokens.length, codec.isEndOfGeneration);
      return new BriefService({ modelId: 'tiny', created: 1, model, log, ...words });
    },
    close: () => template.close(),
  };
}
