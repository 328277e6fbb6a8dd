/** How far an item has got. */
export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';

export interface InputText {
  readonly type: 'input_text';
  readonly text: string;
}

export interface OutputText {
  readonly type: 'output_text';
  readonly text: string;
  readonly annotations: readonly never[];
  /** Of its tokens, where they were asked for. */
  readonly logprobs: readonly object[];
}

export interface ReasoningText {
  readonly type: 'reasoning_text';
  readonly text: string;
}

/** A message that the model reads. */
export interface InputMessage {
  readonly id: string;
  readonly type: 'message';
  readonly role: 'system' | 'developer' | 'user';
  readonly status: ItemStatus;
  readonly content: readonly InputText[];
}

/** A message that the model wrote. */
export interface OutputMessage {
  readonly id: string;
  readonly type: 'message';
  readonly role: 'assistant';
  readonly status: ItemStatus;
  readonly content: readonly OutputText[];
}

/** What the model thought. */
export interface ReasoningItem {
  readonly id: string;
  readonly type: 'reasoning';
  readonly status: ItemStatus;
  /** Nobody sums it up here. */
  readonly summary: readonly never[];
  readonly content: readonly ReasoningText[];
}

/** A call of a function. */
export interface CallItem {
  readonly id: string;
  readonly type: 'function_call';
  readonly call_id: string;
  readonly name: string;
  /** JSON, as the model wrote it. */
  readonly arguments: string;
  readonly status: ItemStatus;
}

/** What a call came to. */
export interface CallOutputItem {
  readonly id: string;
  readonly type: 'function_call_output';
  readonly call_id: string;
  readonly output: string | readonly InputText[];
  readonly status: ItemStatus;
}

export type OutputItem = OutputMessage | ReasoningItem | CallItem;
/** One of the things that a conversation is made of. */
export type Item = InputMessage | CallOutputItem | OutputItem;

/** A new name for an item. @param kind what the name begins with */
export type NewItemId = (kind: 'msg' | 'rs' | 'fc' | 'fco') => string;

export const outputText = (text: string, logprobs: readonly object[] = []): OutputText => ({
  type: 'output_text',
  text,
  annotations: [],
  logprobs,
});
