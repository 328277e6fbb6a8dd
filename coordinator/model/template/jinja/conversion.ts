import { type Str, typedText } from './text.ts';
import { Dict, type Value } from './values.ts';

/** A value of JSON as the template sees it: whole numbers are ints, and `text` makes its strings. */
export function fromJson(value: unknown, text: (text: string) => Str = typedText): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return text(value);
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isInteger(value) && Math.abs(value) < 1e21 ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => fromJson(item, text));
  return new Dict(Object.entries(value).map(([key, item]) => [text(key), fromJson(item, text)] as const));
}
