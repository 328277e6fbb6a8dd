/**
 * The regular expressions with which tokenizers cut text, as a program for split-matcher.ts. Understood are literals,
 * escapes, sets, `|`, `(?:…)`, `?`, `*`, `+`, `{n}`, `{m,n}`, `(?!x)` with one character x, and `$` for the end of the
 * text. Sets are written as in JavaScript with the `v` flag, but \s is Unicode's White_Space, as it is where these
 * expressions come from (JavaScript's own takes U+FEFF and leaves U+0085 out), and \d is \p{Nd}.
 */

/** One instruction; those that do not say where to go on go on with the next. */
export type Instruction =
  /** Takes one character of a set. */
  | { readonly op: 'take'; readonly set: number }
  /** Goes on where the next character is not of a set; at the end of the text, always. */
  | { readonly op: 'unless'; readonly set: number }
  /** Goes on at both places; the first is preferred. */
  | { readonly op: 'fork'; readonly first: number; readonly second: number }
  | { readonly op: 'jump'; readonly to: number }
  | { readonly op: 'match' };

export interface Program {
  readonly instructions: readonly Instruction[];
  /** What the sets hold, as tests of one character. */
  readonly sets: readonly RegExp[];
}

type Node =
  | { readonly kind: 'take' | 'unless'; readonly set: number }
  | { readonly kind: 'sequence' | 'choice'; readonly of: readonly Node[] }
  | { readonly kind: 'repeat'; readonly what: Node; readonly min: number; readonly max: number };

const ATOM = /\\[pP]\{[^}]*\}|\\u\{[^}]*\}|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\.|[^\\]/uy;
const QUANTIFIER = /[?*+]|\{(\d+)(?:,(\d+))?\}/y;

/** @throws SyntaxError for what is not understood */
export function parsePattern(pattern: string): Program {
  const sources: string[] = [];
  let at = 0;

  const setOf = (source: string): number => {
    const known = sources.indexOf(source);
    return known >= 0 ? known : sources.push(source) - 1;
  };
  const accept = (text: string): boolean => {
    if (!pattern.startsWith(text, at)) return false;
    at += text.length;
    return true;
  };
  const expect = (text: string): void => {
    if (!accept(text)) throw new SyntaxError(`'${text}' is missing at ${at} of ${pattern}`);
  };
  const match = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = at;
    const found = expression.exec(pattern);
    if (found !== null) at += found[0].length;
    return found;
  };

  const choice = (): Node => {
    const of = [sequence()];
    while (accept('|')) of.push(sequence());
    return of.length === 1 ? (of[0] as Node) : { kind: 'choice', of };
  };
  const sequence = (): Node => {
    const of: Node[] = [];
    while (at < pattern.length && pattern[at] !== '|' && pattern[at] !== ')') of.push(repeated());
    return { kind: 'sequence', of };
  };
  const repeated = (): Node => {
    const what = single();
    const quantifier = match(QUANTIFIER);
    if (quantifier === null) return what;
    const [text, least, most] = quantifier;
    if (text === '?') return { kind: 'repeat', what, min: 0, max: 1 };
    if (text === '*' || text === '+') return { kind: 'repeat', what, min: text === '+' ? 1 : 0, max: Infinity };
    return { kind: 'repeat', what, min: Number(least), max: Number(most ?? least) };
  };
  const single = (): Node => {
    if (accept('(?:')) {
      const inside = choice();
      expect(')');
      return inside;
    }
    if (accept('(?!')) {
      const set = oneCharacter();
      expect(')');
      return { kind: 'unless', set };
    }
    if (accept('$')) return { kind: 'unless', set: setOf('[^]') };
    return { kind: 'take', set: oneCharacter() };
  };
  const oneCharacter = (): number => {
    const start = at;
    let depth = 0;
    do {
      const atom = match(ATOM)?.[0];
      if (atom === undefined) throw new SyntaxError(`a character is missing at ${start} of ${pattern}`);
      if (atom === '[') depth++;
      else if (atom === ']') depth--;
    } while (depth > 0);
    return setOf(pattern.slice(start, at));
  };

  const whole = choice();
  if (at < pattern.length) throw new SyntaxError(`'${pattern[at]}' is not understood at ${at} of ${pattern}`);
  const instructions: Instruction[] = [];
  emit(whole, instructions);
  instructions.push({ op: 'match' });
  return { instructions, sets: sources.map(singleCharacterTest) };
}

function emit(node: Node, out: Instruction[]): void {
  switch (node.kind) {
    case 'take':
    case 'unless':
      out.push({ op: node.kind, set: node.set });
      return;
    case 'sequence':
      for (const item of node.of) emit(item, out);
      return;
    case 'choice': {
      const ends: number[] = [];
      node.of.forEach((item, i) => {
        const fork = i < node.of.length - 1 ? out.push({ op: 'match' }) - 1 : null;
        emit(item, out);
        if (fork === null) return;
        ends.push(out.push({ op: 'match' }) - 1);
        out[fork] = { op: 'fork', first: fork + 1, second: out.length };
      });
      for (const end of ends) out[end] = { op: 'jump', to: out.length };
      return;
    }
    case 'repeat': {
      for (let i = 0; i < node.min; i++) emit(node.what, out);
      const forks: number[] = [];
      for (let i = node.min; i < (node.max === Infinity ? node.min + 1 : node.max); i++) {
        forks.push(out.push({ op: 'match' }) - 1);
        emit(node.what, out);
      }
      if (node.max === Infinity) out.push({ op: 'jump', to: forks[0] as number });
      for (const fork of forks) out[fork] = { op: 'fork', first: fork + 1, second: out.length };
    }
  }
}

function singleCharacterTest(source: string): RegExp {
  const unicode = source
    .replaceAll('\\s', '\\p{White_Space}')
    .replaceAll('\\S', '\\P{White_Space}')
    .replaceAll('\\d', '\\p{Nd}');
  return new RegExp(`^${unicode}$`, 'v');
}
