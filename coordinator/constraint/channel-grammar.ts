import { CHANNEL_MARKS } from '../model/reasoning-marks.ts';
import { type ConstrainedCall, include, spelledCalls } from './call-grammar.ts';
import {
  characters,
  type Expression,
  type Grammar,
  type GraphEdge,
  MAX_CHARACTER,
  repeat,
  text,
} from './expression.ts';

/** What messages in channels have to look like for their calls, and the answer, to be valid. */
export interface ChannelConstraint {
  /** The last message is a call. */
  readonly required: boolean;
  /** Each from the mark of its channel on. */
  readonly calls: readonly ConstrainedCall[];
}

const { channel, end, message, start } = CHANNEL_MARKS;
const ANYTHING = repeat(characters([0, MAX_CHARACTER]), 0, Number.POSITIVE_INFINITY);

/**
 * The messages of an answer in channels: their headers, and the text of the last one, which is a call or in the channel
 * "final". The text of a message that others follow is no part of the grammar: whoever uses it lets anything be written
 * there, up to the mark of the message's end.
 * @param answer what that text has to be; null for anything
 * @throws StarlingError as callGrammar
 */
export function channelGrammar({ required, calls }: ChannelConstraint, answer: Grammar | null): Grammar {
  const spelled = spelledCalls(calls, required);
  const { rules } = spelled;
  const edges: GraphEdge[] = [];
  const way = (from: number, to: number, ...parts: readonly Expression[]): void => {
    edges.push({ from, to, on: { kind: 'sequence', parts } });
  };
  // Node 0 is after whose turn it is, node 1 in a message that others follow, node 2 after the last.
  way(0, 1, text(`${channel}analysis${message}`));
  way(1, 0, text(`${end}${start}assistant`));
  // What is said before a call keeps to no form.
  if (calls.length > 0 && !required && answer === null) way(0, 1, text(`${channel}commentary${message}`));
  if (!required) {
    const rest = answer === null ? ANYTHING : include(rules, answer, 'answer ');
    way(0, 2, text(`${channel}final${message}`), rest);
  }
  for (const { prefix, given, suffix } of spelled.calls) {
    way(0, 2, text(prefix), given, text(suffix));
  }
  rules.set('root', { kind: 'graph', graph: { edges, accepts: [false, false, true] } });
  return { rules, root: 'root' };
}
