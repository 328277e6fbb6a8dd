import type { CallLog } from './call-events.ts';
import { JsonScanner, type Scanned } from './json-scanner.ts';

/** Reads one call as its characters come, and logs its begin and its arguments; not its end. */
export interface CallReader {
  /** The arguments are all there, and valid. */
  readonly hasArguments: boolean;
  /** @param c one UTF-16 unit. @returns 'invalid' for one that belongs to no call */
  push(c: string): Scanned;
}

/** Names of functions: none of their characters needs an escape in JSON, and none is part of a mark. */
export const FUNCTION_NAME = /^[\w.-]{1,64}$/;

const NAME_CHARACTERS = /^[\w.-]*/;
/** Characters between a name and its arguments. */
const MAX_HEADER = 192;
/** What may stand there: an id that the model has made up, and the mark of the arguments. */
const HEADER = /^([\w.-]+)\s*(?:\[CALL_ID\]\s*[\w-]*\s*)?(?:\[ARGS\])?\s*$/;

/** The arguments of a call whose name is known: an object. */
export class ArgumentsReader implements CallReader {
  readonly #log: CallLog;
  readonly #name: string;
  readonly #scanner = new JsonScanner();
  hasArguments = false;

  constructor(log: CallLog, name: string) {
    this.#log = log;
    this.#name = name;
  }

  push(c: string): Scanned {
    if (!this.#log.isOpen) {
      if (c !== '{') return /\s/.test(c) ? 'more' : 'invalid';
      this.#log.begin(this.#name);
    }
    const scanned = this.#scanner.push(c);
    if (scanned !== 'invalid') this.#log.arguments(c);
    this.hasArguments = scanned === 'complete';
    return scanned;
  }
}

/** A call that begins with its name: `get_weather[ARGS]{"city": "Oslo"}`. */
export class NamedCallReader implements CallReader {
  readonly #log: CallLog;
  readonly #names: ReadonlySet<string>;
  #header = '';
  #arguments: ArgumentsReader | null = null;

  constructor(log: CallLog, names: ReadonlySet<string>) {
    this.#log = log;
    this.#names = names;
  }

  get hasArguments(): boolean {
    return this.#arguments?.hasArguments ?? false;
  }

  push(c: string): Scanned {
    if (this.#arguments !== null) return this.#arguments.push(c);
    if (c === '{') {
      const name = HEADER.exec(this.#header)?.[1];
      if (name === undefined || !this.#names.has(name)) return 'invalid';
      this.#arguments = new ArgumentsReader(this.#log, name);
      return this.#arguments.push(c);
    }
    this.#header += c;
    const name = NAME_CHARACTERS.exec(this.#header)?.[0] ?? '';
    const isWhole = name.length < this.#header.length;
    const isKnown = isWhole ? this.#names.has(name) : [...this.#names].some((known) => known.startsWith(name));
    return isKnown && this.#header.length <= MAX_HEADER ? 'more' : 'invalid';
  }
}
