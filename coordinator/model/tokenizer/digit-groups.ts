import type { Splitter } from './split-matcher.ts';

/** Characters of words, as \b tells them apart in Oniguruma. */
const WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xb2\xb3\xb9\xbc-\xbe]/u;

/**
 * A splitter that cuts each run of digits into groups of three, counted from its end: 12345 is 12 and 345. What stands
 * between runs stays whole.
 * @param digit tests one character
 * @param options.apart the first group begins a piece of its own, even where it has less than three digits
 * @param options.wordsWhole runs before a character of a word are not cut: the `\b` in `\d{1,3}(?=(?:\d{3})*\b)`
 */
export function digitGroups(digit: RegExp, { apart = true, wordsWhole = false } = {}): Splitter {
  return (text, start, end, emit) => {
    let pending = start;
    const cutBefore = (at: number): void => {
      if (at > pending) emit(pending, at);
      pending = at;
    };
    for (let at = start; at < end; ) {
      const starts: number[] = [];
      let after = at;
      while (after < end && digit.test(charAt(text, after))) {
        starts.push(after);
        after += charAt(text, after).length;
      }
      if (starts.length === 0) {
        at += charAt(text, at).length;
        continue;
      }
      if (!wordsWhole || after >= end || !WORD.test(charAt(text, after))) {
        starts.forEach((place, i) => {
          if ((starts.length - i) % 3 === 0 || (apart && i === 0)) cutBefore(place);
        });
        if (apart) cutBefore(after);
      }
      at = after;
    }
    if (pending < end) emit(pending, end);
  };
}

function charAt(text: string, at: number): string {
  return String.fromCodePoint(text.codePointAt(at) as number);
}
