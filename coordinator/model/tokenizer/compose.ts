/** Marks in a row that are put in order together; no writing has that many on one letter. */
const MAX_MARKS = 32;
const MARK = /^\p{M}/u;
/** Everything below U+0300 is composed already. */
const MAY_CHANGE = /[^\0-\u02ff]/;

/**
 * Unicode's composed form (NFC) in time in proportion: putting marks in their canonical order takes a time that grows
 * with the square of their number, so those of a long run are put in order in parts.
 */
export function compose(text: string): string {
  if (!MAY_CHANGE.test(text)) return text;
  let composed = '';
  let start = 0;
  let marks = 0;
  for (let at = 0; at < text.length; ) {
    const char = String.fromCodePoint(text.codePointAt(at) as number);
    marks = MARK.test(char) ? marks + 1 : 0;
    if (marks > MAX_MARKS) {
      composed += text.slice(start, at).normalize('NFC');
      start = at;
      marks = 1;
    }
    at += char.length;
  }
  return composed + text.slice(start).normalize('NFC');
}
