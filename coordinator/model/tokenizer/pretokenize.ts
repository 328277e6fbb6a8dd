import { CharacterClass, classOf } from './character-class.ts';
import type { Pretokenizer } from './vocabulary.ts';

/*
 * The rules are the published regular expressions of the models, tried in order at each position:
 *   gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   llama-bpe  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   qwen2      the same with \p{N}
 * They are scanned by hand: a regular expression engine keeps a stack entry a character of a long run and fails on
 * megabytes of one letter.
 */

const { letter, number, space, other } = CharacterClass;
const END = 0;

/**
 * Cuts text where BPE must not merge across.
 * @param text well-formed UTF-16
 * @param emit called with each piece's start and end (UTF-16 units), in order, without gaps
 */
export function pretokenize(text: string, pre: Pretokenizer, emit: (start: number, end: number) => void): void {
  if (pre === 'none') {
    if (text.length > 0) emit(0, text.length);
    return;
  }
  if (pre === 'digits-gpt-2') {
    splitDigits(text, emit);
    return;
  }
  const next = pre === 'gpt-2' ? nextGpt2 : pre === 'llama-bpe' ? nextLlama3 : nextQwen2;
  for (let start = 0; start < text.length; ) {
    const end = next(text, start, text.length);
    emit(start, end);
    start = end;
  }
}

/** Every \p{N} alone, GPT-2's rules between them: lookahead does not see past a digit. */
function splitDigits(text: string, emit: (start: number, end: number) => void): void {
  for (let start = 0; start < text.length; ) {
    let stop = start;
    while (stop < text.length && classAt(text, stop, text.length) !== number) stop += widthAt(text, stop);
    while (start < stop) {
      const end = nextGpt2(text, start, stop);
      emit(start, end);
      start = end;
    }
    if (stop < text.length) {
      start = stop + widthAt(text, stop);
      emit(stop, start);
    }
  }
}

function nextGpt2(text: string, at: number, end: number): number {
  const suffix = contraction(text, at, end, false);
  if (suffix > 0) return at + suffix;
  const body = text.charCodeAt(at) === 0x20 ? at + 1 : at;
  const kind = classAt(text, body, end);
  if (kind !== END && kind !== space) return runOf(kind, text, body, end, Number.POSITIVE_INFINITY);
  return whitespace(text, at, end);
}

function nextLlama3(text: string, at: number, end: number): number {
  return nextModern(text, at, end, 3);
}

function nextQwen2(text: string, at: number, end: number): number {
  return nextModern(text, at, end, 1);
}

function nextModern(text: string, at: number, end: number, digits: number): number {
  const suffix = contraction(text, at, end, true);
  if (suffix > 0) return at + suffix;
  const kind = classAt(text, at, end);
  if (kind === letter) return runOf(letter, text, at, end, Number.POSITIVE_INFINITY);
  if (kind === number) return runOf(number, text, at, end, digits);
  const after = at + widthAt(text, at);
  if (!isNewline(text.charCodeAt(at)) && classAt(text, after, end) === letter) {
    return runOf(letter, text, after, end, Number.POSITIVE_INFINITY);
  }
  const body = text.charCodeAt(at) === 0x20 ? after : at;
  if (classAt(text, body, end) === other) {
    let stop = runOf(other, text, body, end, Number.POSITIVE_INFINITY);
    while (stop < end && isNewline(text.charCodeAt(stop))) stop++;
    return stop;
  }
  // \s*[\r\n]+: up to the last line end of this white space
  let afterNewline = 0;
  for (let i = at; i < end && classAt(text, i, end) === space; i++) {
    if (isNewline(text.charCodeAt(i))) afterNewline = i + 1;
  }
  return afterNewline > 0 ? afterNewline : whitespace(text, at, end);
}

/** \s+(?!\S)|\s+ : white space leaves its last character to the word that follows. All white space is one unit wide. */
function whitespace(text: string, at: number, end: number): number {
  let stop = at;
  while (stop < end && classAt(text, stop, end) === space) stop++;
  return stop < end && stop - at > 1 ? stop - 1 : stop;
}

function runOf(kind: number, text: string, at: number, end: number, limit: number): number {
  let stop = at;
  for (let n = 0; n < limit && stop < end && classAt(text, stop, end) === kind; n++) stop += widthAt(text, stop);
  return stop;
}

/** Length of 's 't 'm 'd 're 've 'll at a position, or 0. Only ASCII letters: ſ is no s here. */
function contraction(text: string, at: number, end: number, anyCase: boolean): number {
  if (text.charCodeAt(at) !== 0x27 || at + 1 >= end) return 0;
  const fold = anyCase ? 0x20 : 0;
  const first = text.charCodeAt(at + 1) | fold;
  if (first === 0x73 || first === 0x74 || first === 0x6d || first === 0x64) return 2;
  if (at + 2 >= end) return 0;
  const second = text.charCodeAt(at + 2) | fold;
  if ((first === 0x72 || first === 0x76) && second === 0x65) return 3;
  return first === 0x6c && second === 0x6c ? 3 : 0;
}

function isNewline(unit: number): boolean {
  return unit === 0x0a || unit === 0x0d;
}

function classAt(text: string, at: number, end: number): number {
  return at < end ? classOf(text.codePointAt(at) as number) : END;
}

function widthAt(text: string, at: number): number {
  return (text.codePointAt(at) as number) >= 0x10000 ? 2 : 1;
}
