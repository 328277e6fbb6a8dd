import type { TextRange } from './tokenizer/special-tokens.ts';

/** What stands before and after the reasoning of models that think before they answer. */
const ENCLOSINGS: readonly (readonly [open: string, close: string])[] = [
  ['<think>', '</think>'],
  ['[THINK]', '[/THINK]'],
  ['<seed:think>', '</seed:think>'],
  ['<|START_THINKING|>', '<|END_THINKING|>'],
  ['◁think▷', '◁/think▷'],
];

/** What some of them put around the answer that follows. */
const ANSWER_ENCLOSINGS: readonly (readonly [open: string, close: string])[] = [
  ['<response>', '</response>'],
  ['<answer>', '</answer>'],
];

/** Tokens of models that answer in channels, of which one is the reasoning. */
export const CHANNEL_MARKS = {
  start: '<|start|>',
  channel: '<|channel|>',
  message: '<|message|>',
  end: '<|end|>',
} as const;
/** The header of reasoning. */
export const OPENED_ANALYSIS = '<|channel|>analysis<|message|>';

/** Marks that enclose reasoning: shown in answers as text, and no text of a user stands for them. */
export const REASONING_MARKS: readonly string[] = ENCLOSINGS.flat();

/** Reasoning between two marks, at the beginning of what the model writes. */
export interface EnclosedReasoning {
  readonly kind: 'enclosed';
  readonly open: string;
  readonly close: string;
  /** What may enclose the answer after it. */
  readonly answer: readonly [open: string, close: string] | null;
  /** Where the vocabulary has the two marks as tokens, only these are marks, and what is spelled like them is text. */
  readonly tokens: ReadonlyMap<number, string>;
}

export type ChannelMark = keyof typeof CHANNEL_MARKS;

/** Messages in channels: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`. */
export interface ChannelledReasoning {
  readonly kind: 'channels';
  /** The texts of the marks, which are tokens. */
  readonly tokens: ReadonlyMap<number, string>;
  readonly marks: ReadonlyMap<number, ChannelMark>;
}

/** How a model tells its reasoning from its answer. */
export type ReasoningForm = EnclosedReasoning | ChannelledReasoning;

/**
 * The form that a model writes, by its chat template; a vocabulary that has both marks of an enclosing as tokens is a
 * sign as well.
 * @param template Jinja
 * @param tokenId the id of the token of exactly this text, or null
 * @returns null for a model that does not tell reasoning apart
 */
export function reasoningForm(template: string, tokenId: (text: string) => number | null): ReasoningForm | null {
  if (template.includes(CHANNEL_MARKS.channel)) {
    const named = Object.entries(CHANNEL_MARKS) as [ChannelMark, string][];
    const found = named.map(([mark, text]) => ({ id: tokenId(text), mark, text }));
    const known = found.flatMap(({ id, ...rest }) => (id === null ? [] : [{ id, ...rest }]));
    if (known.length === named.length) {
      const marks = new Map(known.map(({ id, mark }) => [id, mark]));
      return { kind: 'channels', marks, tokens: new Map(known.map(({ id, text }) => [id, text])) };
    }
  }
  for (const [open, close] of ENCLOSINGS) {
    const [openId, closeId] = [tokenId(open), tokenId(close)];
    const areTokens = openId !== null && closeId !== null;
    if (!template.includes(close) && !areTokens) continue;
    const answer = ANSWER_ENCLOSINGS.find(([first]) => template.includes(first)) ?? null;
    const tokens = new Map(areTokens ? [[openId, open] as const, [closeId, close] as const] : []);
    return { kind: 'enclosed', open, close, answer, tokens };
  }
  return null;
}

/** Whether a template itself has marks of reasoning: vocabularies have them of models that never write any. */
export function speaksOfReasoning(form: ReasoningForm, template: string): boolean {
  return form.kind === 'channels' || [form.open, form.close].some((mark) => template.includes(mark));
}

/**
 * Whether a prompt ends within reasoning that the template has opened, so that the model's text begins in it.
 * @param typed what users wrote of the prompt: no mark is there
 */
export function opensReasoning(
  form: ReasoningForm,
  { text, typed }: { readonly text: string; readonly typed: readonly TextRange[] },
): boolean {
  const open = form.kind === 'channels' ? OPENED_ANALYSIS : form.open;
  const end = text.trimEnd().length;
  const start = end - open.length;
  return text.slice(0, end).endsWith(open) && !typed.some(([from, to]) => from < end && to > start);
}
