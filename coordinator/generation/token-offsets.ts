import type { TextCodec } from './text-codec.ts';

/** How much of a text is passed over at most to find a token: more than the name of any control token. */
const REACH = 256;

/**
 * Where in a text each of its tokens begins, in UTF-16 code units. A token that shows nothing, as control tokens do, is
 * of length 0 where it stands; what a text has beside that which its tokens show, such as the names of control tokens,
 * is passed over.
 * @param tokens of the whole text
 */
export function tokenOffsets(codec: TextCodec, tokens: readonly number[], text: string): number[] {
  const detokenizer = codec.createDetokenizer({ startOfText: true });
  let end = 0;
  return tokens.map((token) => {
    const piece = detokenizer.push(token);
    const passed = text.slice(end, end + REACH + piece.length).indexOf(piece);
    if (passed < 0) return end;
    const start = end + passed;
    end = start + piece.length;
    return start;
  });
}
