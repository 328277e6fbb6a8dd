/** What pre-tokenizers tell apart. Values are bytes, and 0 is kept free. */
export const CharacterClass = { letter: 1, number: 2, space: 3, other: 4 } as const;

const known = new Uint8Array(0x10000);

/**
 * The class of a Unicode code point: \p{L}, \p{N}, White_Space (which JavaScript's \s is not: that takes U+FEFF and
 * leaves U+0085 out), anything else.
 */
export function classOf(codePoint: number): number {
  if (codePoint >= 0x10000) return classify(codePoint);
  const cached = known[codePoint] as number;
  if (cached !== 0) return cached;
  const found = classify(codePoint);
  known[codePoint] = found;
  return found;
}

function classify(codePoint: number): number {
  const char = String.fromCodePoint(codePoint);
  if (/^\p{L}/u.test(char)) return CharacterClass.letter;
  if (/^\p{N}/u.test(char)) return CharacterClass.number;
  if (/^\p{White_Space}/u.test(char)) return CharacterClass.space;
  return CharacterClass.other;
}
