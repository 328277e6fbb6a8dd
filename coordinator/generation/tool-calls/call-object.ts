import type { CallLog } from './call-events.ts';
import type { CallReader } from './call-reader.ts';
import { JsonScanner, type Scanned } from './json-scanner.ts';

type Place = 'start' | 'first key' | 'key' | 'colon' | 'value' | 'after value';

/** Under these, models write the arguments: the family's own, and what those trained on other families write. */
const ARGUMENTS_KEYS: readonly string[] = ['arguments', 'parameters'];
/** Also seen, and left out. */
const OTHER_KEYS: readonly string[] = ['id', 'type'];
/** Characters of a key, a name, an id, with quotes. */
const MAX_SHORT = 128;
/** Characters of arguments that have to wait, for the name or for the end of a string. */
const MAX_HELD = 1 << 16;

/**
 * A call that is an object: `{"name": "get_weather", "arguments": {"city": "Oslo"}}`. Arguments are logged as they
 * come, once the name is known. They may be a string that holds the JSON, and may be left out where there are none.
 */
export class CallObjectReader implements CallReader {
  readonly #log: CallLog;
  readonly #names: ReadonlySet<string>;
  #place: Place = 'start';
  #scanner: JsonScanner | null = null;
  /** The key or value that is being read, unless it is logged as it comes. */
  #text = '';
  #key = '';
  readonly #seen = new Set<string>();
  #name: string | null = null;
  #arguments: string | null = null;
  hasArguments = false;

  constructor(log: CallLog, names: ReadonlySet<string>) {
    this.#log = log;
    this.#names = names;
  }

  push(c: string): Scanned {
    if (this.#scanner !== null) return this.#scan(this.#scanner, c);
    if (' \t\n\r'.includes(c)) return 'more';
    switch (this.#place) {
      case 'start':
        return c === '{' ? this.#goOn('first key') : 'invalid';
      case 'first key':
      case 'key':
        return c === '"' ? this.#scan(new JsonScanner(), c) : 'invalid';
      case 'colon':
        return c === ':' ? this.#goOn('value') : 'invalid';
      case 'value':
        if (c !== '"' && !(c === '{' && this.#isArguments())) return 'invalid';
        if (c === '{' && this.#name !== null) this.#log.begin(this.#name);
        return this.#scan(new JsonScanner(), c);
      case 'after value':
        if (c === ',') return this.#goOn('key');
        return c === '}' ? this.#end() : 'invalid';
    }
  }

  #scan(scanner: JsonScanner, c: string): Scanned {
    this.#scanner = scanner;
    const scanned = scanner.push(c);
    if (scanned === 'invalid') return 'invalid';
    if (this.#log.isOpen && this.#isArguments() && !this.hasArguments) this.#log.arguments(c);
    else this.#text += c;
    if (this.#text.length > (this.#isArguments() ? MAX_HELD : MAX_SHORT)) return 'invalid';
    if (scanned === 'more') return 'more';
    this.#scanner = null;
    const text = this.#text;
    this.#text = '';
    return this.#place === 'value' ? this.#takeValue(text) : this.#takeKey(text);
  }

  #takeKey(text: string): Scanned {
    this.#key = String(JSON.parse(text));
    const kind = this.#isArguments() ? 'arguments' : this.#key;
    if (this.#seen.has(kind) || !['name', 'arguments', ...OTHER_KEYS].includes(kind)) return 'invalid';
    this.#seen.add(kind);
    return this.#goOn('colon');
  }

  #takeValue(text: string): Scanned {
    if (this.#key === 'name') {
      const name = String(JSON.parse(text));
      if (!this.#names.has(name)) return 'invalid';
      this.#name = name;
    } else if (this.#isArguments()) {
      if (this.#log.isOpen) this.hasArguments = true;
      else this.#arguments = text.startsWith('"') ? objectIn(text) : text;
      if (!this.hasArguments && this.#arguments === null) return 'invalid';
    }
    if (this.#name !== null && this.#arguments !== null && !this.hasArguments)
      this.#logWhole(this.#name, this.#arguments);
    this.#key = '';
    return this.#goOn('after value');
  }

  #end(): Scanned {
    if (this.#name === null) return 'invalid';
    if (!this.hasArguments) this.#logWhole(this.#name, '{}');
    return 'complete';
  }

  #logWhole(name: string, text: string): void {
    this.#log.begin(name);
    this.#log.arguments(text);
    this.hasArguments = true;
  }

  #isArguments(): boolean {
    return ARGUMENTS_KEYS.includes(this.#key);
  }

  #goOn(place: Place): Scanned {
    this.#place = place;
    return 'more';
  }
}

/** The text of the object that a JSON string holds; null where it holds none. */
function objectIn(string: string): string | null {
  const text = String(JSON.parse(string));
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? text.trim() : null;
  } catch {
    return null;
  }
}
