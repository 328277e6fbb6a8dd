/** One of the texts that a message is made of. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** A call of a tool that the assistant made. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** The object, or the text itself where that is not a JSON object. */
  readonly arguments: Readonly<Record<string, unknown>> | string;
}

/** One turn of a conversation. */
export interface Message {
  /** Of `tool`: what a tool answered. */
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  /** A text, or the parts that the client sent. */
  readonly content: string | readonly TextPart[];
  readonly name?: string;
  /** What the assistant thought before it. */
  readonly reasoning?: string;
  readonly toolCalls?: readonly ToolCall[];
  /** Which call a tool answered. */
  readonly toolCallId?: string;
}

/** A tool that the model may call. */
export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments; left out for a function without any. */
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** Whether tools are called: as the model likes, never, at least one, or this one. */
export type ToolChoice = 'auto' | 'none' | 'required' | { readonly name: string };

/** What a client asks to be answered, in whatever dialect it asked. */
export interface Conversation {
  readonly messages: readonly Message[];
  /** None by default. */
  readonly tools?: readonly Tool[];
  /** `auto` by default. */
  readonly toolChoice?: ToolChoice;
  /** An answer may hold several calls, which is the default. */
  readonly parallelCalls?: boolean;
  /** Further variables for the chat template. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Reasoning stays in the answer, with its marks. */
  readonly keepsReasoning?: boolean;
  /** The answer goes on with the last message, which is the assistant's, rather than being a turn of its own. */
  readonly continueFinal?: boolean;
}
