/** What a character came to: the value goes on, ended with it, or can be no JSON. */
export type Scanned = 'more' | 'complete' | 'invalid';

type Place =
  | 'value'
  | 'first value'
  | 'first key'
  | 'key'
  | 'colon'
  | 'after value'
  | 'string'
  | 'escape'
  | 'hex'
  | 'word';

/** Objects and lists within each other. */
const MAX_DEPTH = 128;
/** Characters of a number. */
const MAX_WORD = 512;

const WHITESPACE = ' \t\n\r';
const WORD = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
const IN_WORD = /[-+.\w]/;

/**
 * Checks one JSON value (RFC 8259) as its characters come: an object, a list or a string, which say themselves where
 * they end. It keeps nothing but the closing marks that are still owed.
 */
export class JsonScanner {
  readonly #owed: string[] = [];
  #place: Place = 'value';
  #isKey = false;
  #word = '';
  #hexLeft = 0;

  /** @param c one UTF-16 unit */
  push(c: string): Scanned {
    switch (this.#place) {
      case 'string':
        return this.#inString(c);
      case 'escape':
        if (c !== 'u' && !'"\\/bfnrt'.includes(c)) return 'invalid';
        this.#hexLeft = 4;
        return this.#goOn(c === 'u' ? 'hex' : 'string');
      case 'hex':
        if (!/[\da-fA-F]/.test(c)) return 'invalid';
        this.#hexLeft--;
        return this.#goOn(this.#hexLeft > 0 ? 'hex' : 'string');
      case 'word':
        return this.#inWord(c);
      default:
        return WHITESPACE.includes(c) ? 'more' : this.#between(this.#place, c);
    }
  }

  #inString(c: string): Scanned {
    if (c < ' ') return 'invalid';
    if (c === '\\') return this.#goOn('escape');
    if (c !== '"') return 'more';
    return this.#isKey ? this.#goOn('colon') : this.#endValue();
  }

  #inWord(c: string): Scanned {
    if (IN_WORD.test(c)) {
      this.#word += c;
      return this.#word.length > MAX_WORD ? 'invalid' : 'more';
    }
    if (!WORD.test(this.#word)) return 'invalid';
    this.#word = '';
    this.#place = 'after value';
    return this.push(c);
  }

  #between(place: Exclude<Place, 'string' | 'escape' | 'hex' | 'word'>, c: string): Scanned {
    switch (place) {
      case 'colon':
        return c === ':' ? this.#goOn('value') : 'invalid';
      case 'first key':
      case 'key':
        if (c === '}' && place === 'first key') return this.#close();
        this.#isKey = true;
        return c === '"' ? this.#goOn('string') : 'invalid';
      case 'after value':
        if (c === this.#owed.at(-1)) return this.#close();
        return c === ',' ? this.#goOn(this.#owed.at(-1) === '}' ? 'key' : 'value') : 'invalid';
      case 'first value':
      case 'value':
        return c === ']' && place === 'first value' ? this.#close() : this.#begin(c);
    }
  }

  #begin(c: string): Scanned {
    this.#isKey = false;
    if (c === '"') return this.#goOn('string');
    if (c === '{' || c === '[') {
      if (this.#owed.push(c === '{' ? '}' : ']') > MAX_DEPTH) return 'invalid';
      return this.#goOn(c === '{' ? 'first key' : 'first value');
    }
    if (this.#owed.length === 0 || !IN_WORD.test(c)) return 'invalid';
    this.#word = c;
    return this.#goOn('word');
  }

  #close(): Scanned {
    this.#owed.pop();
    return this.#endValue();
  }

  #endValue(): Scanned {
    return this.#owed.length === 0 ? 'complete' : this.#goOn('after value');
  }

  #goOn(place: Place): Scanned {
    this.#place = place;
    return 'more';
  }
}
