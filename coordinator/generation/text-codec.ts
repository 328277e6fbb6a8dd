import type { TextRange } from '../model/tokenizer/special-tokens.ts';
import type { TextPart } from './conversation.ts';

/** Turns token ids into text as they come; never emits part of a UTF-8 character. */
export interface StreamingDetokenizer {
  push(token: number): string;
  /** The text still held back; called once, after the last token. */
  flush(): string;
}

/** What text generation needs of a tokenizer. */
export interface TextCodec {
  /**
   * @param options.addSpecial put the beginning-of-text token in front where the model wants one
   * @param options.parseSpecial recognise control tokens such as `<|user|>` written in the text
   * @param options.typed what users wrote of the text: a control token that has any of it stays text
   */
  encode(text: string, options: { addSpecial: boolean; parseSpecial: boolean; typed?: readonly TextRange[] }): number[];
  isEndOfGeneration(token: number): boolean;
  /** The raw bytes of one token, which need not be valid UTF-8 by themselves. */
  pieceBytes(token: number): Uint8Array;
  /** @param options.startOfText the text begins with the next token, rather than being continued by it */
  createDetokenizer(options: { startOfText: boolean }): StreamingDetokenizer;
}

/** One call of a function that an assistant message made, as chat templates expect it. */
export interface ChatToolCall {
  readonly id: string;
  readonly type: 'function';
  /** `arguments` is the parsed object, or the text itself when that is not a JSON object. */
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> | string };
}

/** One message as chat templates know it; the names are those that templates read. */
export type ChatMessage = {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  /** Text, or the text parts that the client sent. */
  readonly content: string | readonly TextPart[];
  readonly name?: string;
  /** What an assistant thought before this message; many templates read it. */
  readonly reasoning_content?: string;
  readonly thinking?: string;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly ChatToolCall[];
};

/** A prompt, and where it holds text that came with the request: disjoint ranges in order. */
export interface RenderedPrompt {
  readonly text: string;
  readonly typed: readonly TextRange[];
}

/** What text generation needs of a chat template. */
export interface ChatRenderer {
  /** Jinja, where it is written in that. */
  readonly source?: string;
  render(
    messages: readonly ChatMessage[],
    options: {
      addGenerationPrompt: boolean;
      tools?: readonly unknown[] | null;
      variables?: Readonly<Record<string, unknown>>;
      signal?: AbortSignal;
    },
  ): Promise<RenderedPrompt>;
}

/**
 * Token ids of a whole prompt: control tokens are recognised, and the beginning-of-text token that the model wants is
 * there exactly once, also when a chat template has written it into the text.
 * @param typed what users wrote of it, in which no control tokens are recognised
 */
export function encodePrompt(codec: TextCodec, text: string, typed: readonly TextRange[] = []): number[] {
  const tokens = codec.encode(text, { addSpecial: true, parseSpecial: true, typed });
  const first = tokens[0];
  const isDoubled = first !== undefined && first === tokens[1];
  if (isDoubled && codec.encode('', { addSpecial: true, parseSpecial: true })[0] === first) tokens.shift();
  return tokens;
}

/** The text of one token by itself; bytes that are no complete character become U+FFFD. */
export function tokenText(codec: TextCodec, token: number): string {
  return new TextDecoder().decode(codec.pieceBytes(token));
}

/** The text of a run of token ids that begins a text. */
export function decodeTokens(codec: TextCodec, tokens: readonly number[]): string {
  const detokenizer = codec.createDetokenizer({ startOfText: true });
  let text = '';
  for (const token of tokens) text += detokenizer.push(token);
  return text + detokenizer.flush();
}
