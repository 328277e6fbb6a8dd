import {
  type CharacterRange,
  characters,
  type Expression,
  type GraphEdge,
  otherCharacters,
  rule,
  sequence,
  text,
} from './expression.ts';

/**
 * JSON that counts where a text, or a code block in it, begins: a beginning, one of some names, a quotation mark, and a
 * rest.
 */
export interface Opening {
  /** Without white space, which may stand between the parts; each ends with the quotation mark before the name. */
  readonly begins: readonly string[];
  /** What comes after each name and its quotation mark. */
  readonly rests: ReadonlyMap<string, Expression>;
}

/** What ends a text that is free otherwise. */
export interface Turns {
  /** After this text, wherever it stands, comes the rest; null for none. */
  readonly trigger: { readonly text: string; readonly rest: Expression } | null;
  readonly openings: readonly Opening[];
  /** Texts after which openings count, as at the beginning. */
  readonly fences: readonly string[];
}

/** A beginning of an opening. */
interface OpeningNode {
  readonly node: number;
  /** White space may come next. */
  readonly isBetweenParts: boolean;
  readonly next: Map<string, OpeningNode>;
  readonly rests: Map<string, Expression>;
}

/** The name of a rule that free text refers to, and that its grammar has to define as `beyondAscii`. */
export const BEYOND_ASCII = 'beyond ascii';
export const beyondAscii: Expression = characters([0x80, 0x10ffff]);

const WHITE_SPACE = [...' \t\n\r'];

/** Any text up to one of the turns, and its rest; or without any of them. */
export function freeUntil(turns: Turns): Expression {
  return new FreeText(turns).expression();
}

/**
 * The automaton of a free text: it knows which beginning of a mark the text ends with (Aho and Corasick 1975), or which
 * beginning of an opening it has got to.
 */
class FreeText {
  readonly #turns: Turns;
  readonly #marks: readonly string[];
  readonly #edges: GraphEdge[] = [];
  readonly #accepts: boolean[] = [];
  readonly #opened: OpeningNode[] = [];
  /** Nodes by the beginning of a mark that the text ends with. */
  readonly #ending = new Map<string, number>();
  /** There may be thousands of nodes: they share what they go on with. */
  readonly #characters = new Map<string, Expression>();
  readonly #others = new Map<string, Expression>();
  readonly #firsts: readonly string[];
  readonly #end: number;

  constructor(turns: Turns) {
    const { trigger, openings, fences } = turns;
    this.#turns = turns;
    this.#marks = [...(trigger === null ? [] : [trigger.text]), ...fences];
    this.#firsts = [...new Set(this.#marks.map((mark) => mark.charAt(0)))];
    if (openings.length > 0) this.#addOpenings(openings);
    for (const mark of ['', ...this.#marks]) {
      for (let length = 0; length === 0 || length < mark.length; length++) {
        const ending = mark.slice(0, length);
        if (!this.#ending.has(ending)) this.#ending.set(ending, this.#node());
      }
    }
    this.#end = this.#node();
  }

  expression(): Expression {
    for (const [ending, node] of this.#ending) this.#goOn(node, ending);
    for (const opened of this.#opened) this.#goOnOpened(opened);
    return { kind: 'graph', graph: { edges: this.#edges, accepts: this.#accepts } };
  }

  #node(): number {
    return this.#accepts.push(true) - 1;
  }

  #openingNode(isBetweenParts: boolean): OpeningNode {
    const opened = { node: this.#node(), isBetweenParts, next: new Map(), rests: new Map() };
    this.#opened.push(opened);
    return opened;
  }

  /** Their common start is node 0. */
  #addOpenings(openings: readonly Opening[]): void {
    const start = this.#openingNode(true);
    for (const { begins, rests } of openings) {
      const atName = this.#openingNode(false);
      for (const begin of begins) {
        let at = start;
        for (const [i, c] of [...begin.slice(0, -1)].entries()) at = this.#next(at, c, isEven(begin.slice(0, i + 1)));
        at.next.set(begin.slice(-1), atName);
      }
      for (const [name, rest] of rests) {
        let at = atName;
        for (const c of name) at = this.#next(at, c, false);
        at.rests.set('"', rest);
      }
    }
  }

  #next(from: OpeningNode, c: string, isBetweenParts: boolean): OpeningNode {
    const next = from.next.get(c) ?? this.#openingNode(isBetweenParts);
    from.next.set(c, next);
    return next;
  }

  /** The edges of free text that ends with the beginning of a mark. */
  #goOn(from: number, ending: string): void {
    const onward = [...new Set(this.#marks.join(''))].filter((c) => this.#after(ending + c) !== this.#after(''));
    for (const c of onward) this.#goOnMarked(from, ending + c);
    this.#goOnOtherwise(from, onward);
  }

  #goOnOpened({ node: from, isBetweenParts, next, rests }: OpeningNode): void {
    const spaces = isBetweenParts ? WHITE_SPACE : [];
    for (const c of spaces) this.#edges.push({ from, to: from, on: this.#on(c) });
    for (const [c, { node: to }] of next) this.#edges.push({ from, to, on: this.#on(c) });
    for (const [c, rest] of rests) this.#edges.push({ from, to: this.#end, on: sequence(text(c), rest) });
    const known = [...spaces, ...next.keys(), ...rests.keys()];
    const first = this.#firsts.filter((c) => !known.includes(c));
    for (const c of first) this.#goOnMarked(from, c);
    this.#goOnOtherwise(from, [...known, ...first]);
  }

  /** The edge on the last character of what the text ends with then. */
  #goOnMarked(from: number, ending: string): void {
    const { trigger } = this.#turns;
    const c = ending.slice(-1);
    if (trigger !== null && ending.endsWith(trigger.text)) {
      this.#edges.push({ from, to: this.#end, on: sequence(text(c), trigger.rest) });
    } else {
      this.#edges.push({ from, to: this.#after(ending), on: this.#on(c) });
    }
  }

  #on(c: string): Expression {
    const one = this.#characters.get(c) ?? characters(range(c));
    this.#characters.set(c, one);
    return one;
  }

  /** The edges on all characters but these: nothing has begun after them. */
  #goOnOtherwise(from: number, known: readonly string[]): void {
    const key = known.join('');
    const others = this.#others.get(key) ?? characters(...otherCharacters([...known.map(range), [0x80, 0x10ffff]]));
    this.#others.set(key, others);
    const to = this.#after('');
    this.#edges.push({ from, to, on: others }, { from, to, on: rule(BEYOND_ASCII) });
  }

  /** The node of a text that ends so; -1 where the trigger has ended it. */
  #after(ending: string): number {
    const mark = this.#marks.find((each) => ending.endsWith(each));
    if (mark !== undefined) return mark === this.#turns.trigger?.text ? -1 : 0;
    for (let from = 0; ; from++) {
      const node = this.#ending.get(ending.slice(from));
      if (node !== undefined) return node;
    }
  }
}

const isEven = (json: string): boolean => json.split('"').length % 2 === 1;
const range = (c: string): CharacterRange => [c.codePointAt(0)!, c.codePointAt(0)!];
