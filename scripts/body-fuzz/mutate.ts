import type { Random } from '../../test/fixtures/random.ts';
import { ownFields, setOwn, type Value } from './hostile-formats.ts';
import { hostileField, hostileNumber, hostileText, hostileValue } from './hostile-values.ts';

/** Characters of a value of which there may be many copies. */
const MOST_COPIED = 10_000;

/** Where a value stands. */
interface Place {
  readonly holder: { [name: string]: Value } | Value[];
  readonly key: string;
}

function placesOf(value: Value, found: Place[] = []): Place[] {
  if (typeof value !== 'object' || value === null) return found;
  for (const key of Object.keys(value)) {
    found.push({ holder: value, key });
    // A chain of thousands is not walked down.
    if (found.length < 1000) placesOf(valueAt({ holder: value, key }), found);
  }
  return found;
}

const valueAt = ({ holder, key }: Place): Value => (holder as { [name: string]: Value })[key]!;
const put = ({ holder, key }: Place, value: Value): void => setOwn(holder, key, value);

/** A value of the same kind where there are hostile ones, of any kind else. */
function alike(random: Random, value: Value): Value {
  if (typeof value === 'number') return hostileNumber(random);
  if (typeof value === 'string') return random.chance(0.5) ? hostileText(random) : value + hostileText(random);
  if (typeof value === 'boolean') return !value;
  return hostileValue(random);
}

/** Changes one thing about a body. */
export function mutateJson(random: Random, body: { [name: string]: Value }): void {
  const places = placesOf(body);
  if (places.length === 0 || random.chance(0.25)) setOwn(body, hostileField(random), hostileValue(random));
  else mutatePlace(random, random.pick(places), places);
}

/** A value some times, none of them the same object: what grows in one of them would grow in all. */
function copies(random: Random, value: Value): Value[] {
  const text = JSON.stringify(value);
  return Array.from({ length: text.length < MOST_COPIED ? random.between(1, 20) : 1 }, () => JSON.parse(text) as Value);
}

function mutatePlace(random: Random, place: Place, places: readonly Place[]): void {
  const value = valueAt(place);
  switch (random.below(8)) {
    case 0:
      put(place, hostileValue(random));
      break;
    case 1:
      if (Array.isArray(place.holder)) place.holder.splice(Number(place.key), 1);
      else delete place.holder[place.key];
      break;
    case 2:
      if (Array.isArray(place.holder)) place.holder.push(...copies(random, value));
      else setOwn(place.holder, hostileField(random), value);
      break;
    case 3:
      put(place, random.chance(0.5) ? [value] : ownFields([[hostileField(random), value]]));
      break;
    case 4:
      // One part of the body in the place of another, of which it is a copy.
      put(place, JSON.parse(JSON.stringify(valueAt(random.pick(places)))) as Value);
      break;
    case 5:
      if (Array.isArray(value)) value.reverse();
      else if (typeof value === 'object' && value !== null) setOwn(value, hostileField(random), hostileValue(random));
      else put(place, String(value));
      break;
    default:
      put(place, alike(random, value));
  }
}

const RAW: readonly string[] = [
  ...[
    '',
    ' ',
    'null',
    '[]',
    '{}',
    '"a"',
    '0',
    'NaN',
    '{',
    '[[',
    '{"a"',
    '{"a":}',
    '{"model":"tiny",}',
    "{'a':1}",
    '\0',
  ],
  ...['{"model":1,"model":2}', '{"__proto__":{"model":"tiny"}}', '\ufeff{}', '{"a":1e999}', '{"a":"\\ud800"}', '//'],
];
const INSERTS: readonly string[] = [
  ...[
    '[',
    ']',
    '{',
    '}',
    '"',
    ',',
    ':',
    '\\',
    '\\u',
    '\\ud800',
    '\\u0000',
    'NaN',
    '-',
    '1e999',
    '1e-999',
    '00',
    'null',
  ],
  ...['"model":"tiny",', '"__proto__":{},', '{"":', '[[[[[[[[', '\0', '\ufeff', '/**/', '\n', '\t', 'e', '.5'],
];
const BYTES: readonly Buffer[] = ['ff', 'c080', 'eda080', 'f5808080', 'e28', '80', 'f0', '00'].map((hex) =>
  Buffer.from(hex, 'hex'),
);

const spliced = (bytes: Buffer, at: number, removed: number, inserted: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);

/** Changes bytes, whatever they mean. */
export function mutateBytes(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  switch (random.below(7)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return spliced(bytes, at, random.below(2), random.pick(BYTES));
    case 2:
      return spliced(bytes, at, 0, Buffer.from(random.pick(INSERTS)));
    case 3:
      return spliced(bytes, at, random.below(8), Buffer.of(random.below(256)));
    case 4:
      return spliced(bytes, at, 0, bytes.subarray(at, at + random.below(64)));
    case 5:
      return Buffer.from(random.pick(RAW));
    default:
      return Buffer.from(random.pick(['[', '{"a":', '"', '\\', ' ']).repeat(random.pick([10, 1000, 20_000])));
  }
}
