import { type EmitPiece, patternSplitter, type Splitter } from './split-matcher.ts';
import type { SplitRule } from './split-rules.ts';

/**
 * Prepares rules for cutting text where BPE must not merge across.
 * @returns called with well-formed UTF-16, it emits the pieces, in order and without gaps, in time in proportion
 */
export function createPretokenizer(rules: readonly SplitRule[]): (text: string, emit: EmitPiece) => void {
  const splitters = rules.map((rule) => (typeof rule === 'string' ? patternSplitter(rule) : rule));
  return (text, emit) => {
    const last = (start: number, end: number): void => {
      if (end > start) emit(start, end);
    };
    const first = splitters.reduceRight<EmitPiece>(
      (next, split: Splitter) => (start, end) => split(text, start, end, next),
      last,
    );
    first(0, text.length);
  };
}
