import { REASONING_MARKS } from '../reasoning-marks.ts';
import { INFILL_TEXTS } from './infill-tokens.ts';

/**
 * Tokens that mean the same in every model that has them, by their text: files often do not say so, or mark them as
 * ordinary text. The texts are those that llama.cpp knows (llama-vocab.cpp), so that both end an answer at the same
 * place. Marks of reasoning are shown beside: without them nobody could tell it from the answer.
 */

/** What a model writes at the end of its answer. */
const ENDS: readonly string[] = [
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|calls|>',
  '<|flush|>',
  '<end_of_turn>',
  '<turn|>',
  '<|tool_response>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<eos>',
  '</s>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '[e~[',
  '<｜end▁of▁sentence｜>',
];

/** What it writes where the code that it fills in is over: padding, and the names of the next repository and file. */
const ENDS_OF_INFILL: readonly string[] = [
  '<|fim_pad|>',
  '<fim-pad>',
  '<fim_pad>',
  '<PAD>',
  '[PAD]',
  ...INFILL_TEXTS.repository,
  ...INFILL_TEXTS.file,
];

/** What stands around the code to be filled in. */
const INFILL: readonly string[] = [...INFILL_TEXTS.prefix, ...INFILL_TEXTS.suffix, ...INFILL_TEXTS.middle];

/** Parts of an answer in channels, to be read by whoever shows it. */
const CHANNELS: readonly string[] = ['<|channel|>', '<|message|>', '<|start|>', '<|constrain|>'];

/** What tokens of known texts are, of a vocabulary. */
export interface KnownTokens {
  /** With these, an answer is over. */
  readonly ends: ReadonlySet<number>;
  /** These go on, even where the file names them as ends. */
  readonly notEnds: ReadonlySet<number>;
  /** Control tokens whatever the file says. */
  readonly control: ReadonlySet<number>;
  /** Control tokens that are shown in answers all the same. */
  readonly shown: ReadonlySet<number>;
}

/**
 * @param idOf a token's id by its text, null where the vocabulary has none
 * @param namesInfill whether the file names the ends of infill itself: texts are then not looked for
 */
export function knownTokens(idOf: (text: string) => number | null, namesInfill: boolean): KnownTokens {
  const idsOf = (texts: readonly string[]): number[] => texts.map(idOf).filter((id) => id !== null);
  const has = (text: string): boolean => idOf(text) !== null;
  const hasCall = has('<|call|>') || has('<|calls|>');
  // Models that answer in channels end each of them with <|end|>, and the answer with another token.
  const inChannels = hasCall && (has('<|return|>') || has('<|flush|>'));
  // Beside <|tool_response>, </s> is a tag of HTML.
  const notEnds = new Set(idsOf([...(inChannels ? ['<|end|>'] : []), ...(has('<|tool_response>') ? ['</s>'] : [])]));
  const ends = idsOf([...ENDS, ...(namesInfill ? [] : ENDS_OF_INFILL)]).filter((id) => !notEnds.has(id));
  return {
    ends: new Set(ends),
    notEnds,
    control: new Set([...ends, ...idsOf(INFILL)]),
    shown: new Set(idsOf([...CHANNELS, ...(inChannels ? ['<|end|>'] : []), ...REASONING_MARKS])),
  };
}
