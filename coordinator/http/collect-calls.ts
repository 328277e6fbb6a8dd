import type { CallEvent } from '../generation/tool-calls/call-events.ts';

/** A whole call. */
export interface CollectedCall {
  readonly id: string;
  readonly name: string;
  /** The JSON of its arguments. */
  readonly text: string;
}

/** Puts the pieces of calls together, in the order in which the calls began. */
export function collectCalls(pieces: readonly CallEvent[]): CollectedCall[] {
  const calls = new Map<number, CollectedCall>();
  for (const piece of pieces) {
    const before = calls.get(piece.index);
    if (piece.type === 'begin') calls.set(piece.index, { id: piece.id, name: piece.name, text: '' });
    else if (piece.type === 'arguments' && before !== undefined)
      calls.set(piece.index, { ...before, text: before.text + piece.delta });
  }
  return [...calls.values()];
}

/** The arguments of a call as a value; an empty object where the model wrote no JSON. */
export function callArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
