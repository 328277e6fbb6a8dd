import { startOfPossible } from '../stop-sequences.ts';
import type { CallLog, OfferedTools } from './call-events.ts';
import type { CallReader } from './call-reader.ts';
import type { Scanned } from './json-scanner.ts';

/**
 * Before the name of the function, or before the next argument or the end, or in an argument that is text, or in
 * another one.
 */
type Place = 'function' | 'between' | 'text' | 'value';

const FUNCTION = /^<function=([^<>]*)>$/;
const PARAMETER = /^<parameter=([^<>]*)>$/;
const END = '</function>';
const CLOSE = '</parameter>';
const CLOSES = [`\n${CLOSE}`, CLOSE];
/** Characters of a tag with a name. */
const MAX_TAG = 256;
/** Characters of a value that is no text, which waits for its end. */
const MAX_VALUE = 1 << 16;
/** Values as a template in Python writes them. */
const WORDS: Readonly<Record<string, string>> = { True: 'true', False: 'false', None: 'null' };

/**
 * A call whose arguments stand in tags, each on lines of its own:
 * `<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>`. What the function's schema calls a
 * string is text, and is logged as it comes; what is no JSON otherwise is text as well.
 */
export class TaggedCallReader implements CallReader {
  readonly #log: CallLog;
  readonly #offered: OfferedTools;
  readonly #keys = new Set<string>();
  #name = '';
  #place: Place = 'function';
  #held = '';
  /** Of a value, the last characters. */
  #ending = '';
  #isFirst = false;
  hasArguments = false;

  constructor(log: CallLog, offered: OfferedTools) {
    this.#log = log;
    this.#offered = offered;
  }

  push(c: string): Scanned {
    if (this.#isFirst && c === '\n') {
      this.#isFirst = false;
      return 'more';
    }
    this.#isFirst = false;
    this.#held += c;
    switch (this.#place) {
      case 'function':
        return this.#inTag('<function=', FUNCTION, (name) => this.#begin(name));
      case 'between':
        return this.#between();
      case 'text':
        return this.#inText();
      case 'value':
        return this.#inValue(c);
    }
  }

  #inTag(start: string, tag: RegExp, take: (name: string) => Scanned): Scanned {
    const held = this.#held.trimStart();
    const isPossible = start.startsWith(held) || (held.startsWith(start) && this.#held.length <= MAX_TAG);
    if (!held.endsWith('>')) return isPossible ? 'more' : 'invalid';
    const name = tag.exec(held)?.[1];
    return name === undefined ? 'invalid' : take(name);
  }

  #begin(name: string): Scanned {
    if (!this.#offered.names.has(name)) return 'invalid';
    this.#name = name;
    this.#log.begin(name);
    this.#log.arguments('{');
    return this.#goOn('between');
  }

  #between(): Scanned {
    const held = this.#held.trimStart();
    if (held === END) {
      this.#log.arguments('}');
      this.hasArguments = true;
      return 'complete';
    }
    if (END.startsWith(held)) return this.#held.length <= MAX_TAG ? 'more' : 'invalid';
    return this.#inTag('<parameter=', PARAMETER, (key) => this.#beginArgument(key));
  }

  #beginArgument(key: string): Scanned {
    if (this.#keys.has(key)) return 'invalid';
    this.#log.arguments(`${this.#keys.size > 0 ? ', ' : ''}${JSON.stringify(key)}: `);
    this.#keys.add(key);
    const isText = this.#offered.isText?.(this.#name, key) ?? false;
    if (isText) this.#log.arguments('"');
    this.#goOn(isText ? 'text' : 'value');
    this.#ending = '';
    this.#isFirst = true;
    return 'more';
  }

  #inText(): Scanned {
    const isOver = this.#held.endsWith(CLOSE);
    let end = isOver ? this.#held.length - CLOSE.length : startOfPossible(this.#held, CLOSES);
    if (isOver && this.#held.charAt(end - 1) === '\n') end--;
    // The second half of a character may follow.
    if (!isOver && /[\ud800-\udbff]/.test(this.#held.charAt(end - 1))) end--;
    if (end > 0) this.#log.arguments(JSON.stringify(this.#held.slice(0, end)).slice(1, -1));
    this.#held = this.#held.slice(end);
    if (!isOver) return 'more';
    this.#log.arguments('"');
    return this.#goOn('between');
  }

  #inValue(c: string): Scanned {
    // The end is looked for in a short text: to look into a long one that grows takes time with each character.
    this.#ending = (this.#ending + c).slice(-CLOSE.length);
    if (this.#ending === CLOSE) {
      this.#log.arguments(jsonOf(this.#held.slice(0, -CLOSE.length).replace(/\n$/, '')));
      return this.#goOn('between');
    }
    if (this.#held.length <= MAX_VALUE) return 'more';
    this.#log.arguments(JSON.stringify(this.#held.slice(0, -1)));
    return 'invalid';
  }

  #goOn(place: Place): Scanned {
    this.#place = place;
    this.#held = '';
    return 'more';
  }
}

/** The JSON of a value that may be any. */
function jsonOf(written: string): string {
  const text = written.trim();
  const word = Object.hasOwn(WORDS, text) ? WORDS[text] : undefined;
  if (word !== undefined) return word;
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(written);
  }
}
