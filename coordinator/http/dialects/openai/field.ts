import { isDeepStrictEqual } from 'node:util';

/** The text routes. */
export const TEXT_ROUTES = ['chat', 'completions'] as const;
export type TextRoute = (typeof TEXT_ROUTES)[number];
/** All routes whose fields are checked. */
export type FieldRoute = TextRoute | 'embeddings' | 'responses';

type Body = Readonly<Record<string, unknown>>;

/** Values with which a field asks for nothing. Null always does. */
export interface Neutral {
  /** In words, for the documentation. */
  readonly words: string;
  readonly holds: (value: unknown, body: Body) => boolean;
  /** Some of them. */
  readonly examples: readonly unknown[];
}

/** What becomes of a field of a request. */
export type Treatment =
  /** What it asks for is done. */
  | { readonly kind: 'done' }
  /** It changes nothing about the answer, and is passed over. */
  | { readonly kind: 'ignored' }
  /** It would change the answer, so any other value than a neutral one is refused. */
  | { readonly kind: 'refused'; readonly neutral: Neutral };

/** A field of a request, of any server that speaks like OpenAI's. */
export interface Field {
  readonly name: string;
  readonly routes: readonly FieldRoute[];
  readonly treatment: Treatment;
  /** What it means here; of a refused one, what to do instead. */
  readonly about: string;
}

const shown = (values: readonly unknown[]): string => values.map((value) => `\`${JSON.stringify(value)}\``).join(', ');

/** These values. */
export function only(...values: readonly unknown[]): Neutral {
  return {
    words: shown(values),
    holds: (value) => values.some((each) => isDeepStrictEqual(each, value)),
    examples: values,
  };
}

/**
 * What has nothing in it: false, an empty text, list or object. Some clients write an empty object as an empty list.
 */
export const EMPTY: Neutral = only(false, '', [], {});

/** Not even an empty value. */
export const NOTHING: Neutral = { words: '`null`', holds: () => false, examples: [] };

/** Numbers up to this one. */
export function atMost(most: number): Neutral {
  return {
    words: `at most \`${most}\``,
    holds: (value) => typeof value === 'number' && value <= most,
    examples: [most, most - 1],
  };
}

/** Numbers from this one on. */
export function atLeast(least: number): Neutral {
  return {
    words: `at least \`${least}\``,
    holds: (value) => typeof value === 'number' && value >= least,
    examples: [least, least + 1],
  };
}

/** Either of the two. */
export function either(a: Neutral, b: Neutral): Neutral {
  return {
    words: `${a.words}, ${b.words}`,
    holds: (value, body) => a.holds(value, body) || b.holds(value, body),
    examples: [...a.examples, ...b.examples],
  };
}
