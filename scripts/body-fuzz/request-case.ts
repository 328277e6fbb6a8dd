import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { ROUTES } from '../../coordinator/http/routes.ts';
import { Random } from '../../test/fixtures/random.ts';
import type { Value } from './hostile-formats.ts';
import { hostileText, withNests } from './hostile-values.ts';
import { mutateBytes, mutateJson } from './mutate.ts';
import { READERS } from './readers.ts';
import { KNOWN_FILE, VALID_BODIES } from './valid-bodies.ts';

/** One request. */
export interface RequestCase {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
}

/** A body alone, and what reads it. */
export interface BodyCase {
  readonly path: string;
  /** JSON. */
  readonly text: string;
}

interface Target {
  readonly method: string;
  readonly path: string;
  /** Bodies that it takes, as JSON; those of all routes where it has none of its own. */
  readonly bodies: readonly string[];
}

const textsOf = (bodies: readonly object[]): string[] => bodies.map((body) => JSON.stringify(body));
const ALL = Object.values(VALID_BODIES).flatMap(textsOf);

const TARGETS: readonly Target[] = ROUTES.filter(({ method }) => method !== 'GET').map(({ method, path }) => {
  const own = VALID_BODIES[path] ?? VALID_BODIES[path.replace(/^\/v1/, '')];
  return { method, path, bodies: own === undefined ? ALL : textsOf(own) };
});
const OTHERS: readonly Target[] = ROUTES.filter(({ method }) => method === 'GET').map((route) => ({
  ...route,
  bodies: [],
}));
/** Those that most happens behind. */
const RICH = TARGETS.filter(({ path }) => /chat|completions|messages|generate/.test(path));
const READ = TARGETS.filter(({ path }) => READERS.has(path));
/** What goes to the disk is slow. */
const isOfDisk = ({ path }: Target): boolean => /files|batches/.test(path);

/** Characters of a body that is changed no more. */
const LARGE = 1_000_000;
const BOUNDARY = 'b';
const JSON_TYPE = 'application/json';
const CONTENT_TYPES: readonly string[] = [
  ...['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16', 'multipart/form-data', ''],
  ...[`multipart/form-data; boundary=${BOUNDARY}`, 'multipart/form-data; boundary=""', 'x', 'application/octet-stream'],
];
const HEADERS: readonly (readonly [name: string, values: readonly string[]])[] = [
  ['content-length', ['0', '-1', '1', '99999999999', 'x', '1, 2']],
  ['host', ['localhost', 'evil.example', '[::1]:80', 'a b', '127.0.0.1:99999', '']],
  ['origin', ['null', 'http://localhost:1', 'http://evil.example', 'x:', 'file://', '']],
  ['authorization', ['Bearer x', 'Bearer', 'Basic eDp4', `Bearer ${'a'.repeat(5000)}`]],
  ['x-api-key', ['', 'x', '\xff']],
  ['accept', ['text/event-stream', '*/*', '']],
  ['anthropic-version', ['2023-06-01', 'x']],
  ['user-agent', ['', 'a'.repeat(3000), '\xe9']],
  ['accept-encoding', ['gzip, br', '*;q=0']],
  ['x-forwarded-for', ['::1', '%']],
  ['transfer-encoding', ['chunked', 'gzip']],
  ['range', ['bytes=0-', 'bytes=9-1']],
  ['expect', ['100-continue']],
];
const QUERIES: readonly string[] = [
  ...['?', '?limit=1', '?limit=-1', '?limit=1e9', '?limit=NaN', '?after=x', '?order=asc', '?order=x', '?purpose=batch'],
  ...['?beta=true', '?__proto__=1', '?%', '?%ff', '?a=%00', '?limit=1&limit=2', '?=', `?${'a'.repeat(3000)}`, '/'],
  ...['/%', '/%ff', '/..', '/%2e%2e', '?after=%ed%a0%80', '#a'],
];
const IDS: readonly string[] = ['x', KNOWN_FILE, '%', '%ff', '%00', '..%2f', 'file-0', '__proto__', 'a'.repeat(3000)];
const PACKERS = { gzip: gzipSync, 'x-gzip': gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: gzipSync };

/** The request of a seed. */
export function requestCase(seed: number): RequestCase {
  const random = new Random(seed);
  const { method, path, bodies } = targetOf(random);
  const headers: Record<string, string> = {};
  const at = path.replace(/:id(\{.*?\})?/, () => random.pick(IDS)) + (random.chance(0.03) ? random.pick(QUERIES) : '');
  while (random.chance(0.04)) {
    const [name, values] = random.pick(HEADERS);
    headers[name] = random.pick(values);
  }
  if (method === 'GET') return { method, path: at, headers, body: null };
  const isForm = path.endsWith('/files') !== random.chance(0.01);
  headers['content-type'] = isForm ? `multipart/form-data; boundary=${BOUNDARY}` : JSON_TYPE;
  if (random.chance(0.03)) headers['content-type'] = random.pick(CONTENT_TYPES);
  let body = isForm ? form(random) : Buffer.from(jsonText(random, random.chance(0.02) ? ALL : bodies));
  while (random.chance(isForm ? 0.4 : 0.06)) body = mutateBytes(random, body);
  return { method, path: at, headers, body: packed(random, headers, body) };
}

/** The body of a seed. */
export function bodyCase(seed: number): BodyCase {
  const random = new Random(seed);
  const { path, bodies } = random.pick(READ);
  return { path, text: jsonText(random, random.chance(0.02) ? ALL : bodies) };
}

function targetOf(random: Random): Target {
  if (random.chance(0.01)) return random.pick(OTHERS);
  const target = random.pick(random.chance(0.6) ? RICH : TARGETS);
  return isOfDisk(target) && random.chance(0.7) ? random.pick(RICH) : target;
}

function jsonText(random: Random, bodies: readonly string[]): string {
  const body = JSON.parse(random.pick(bodies)) as { [name: string]: Value };
  let text: string;
  do {
    mutateJson(random, body);
    text = JSON.stringify(body);
  } while (text.length < LARGE && random.chance(0.5));
  return withNests(text);
}

/** Sometimes in a content encoding, which may not be the one that is named. */
function packed(random: Random, headers: Record<string, string>, body: Buffer): Buffer {
  if (!random.chance(0.01)) return body;
  const [name, pack] = random.pick(Object.entries(PACKERS));
  headers['content-encoding'] = random.pick([name, name, 'gzip', 'br', 'identity', 'gzip, br', 'x']);
  return random.chance(0.8) ? pack(body) : body;
}

/** A form of OpenAI's files, in any order, with parts that nobody asked for. */
function form(random: Random): Buffer {
  const part = (disposition: string, content: string): string =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
  const text = (): string => hostileText(random).slice(0, 300);
  const parts = [
    part('name="purpose"', random.chance(0.8) ? 'batch' : text()),
    part('name="file"; filename="a.jsonl"', random.pick(ALL)),
    ...(random.chance(0.3) ? [part(`name="${text()}"; filename="${text()}"`, text())] : []),
  ];
  const order = random.permutation(parts.length).map((i) => parts[i]!);
  if (random.chance(0.02)) order.push(...Array<string>(40).fill(part('name="x"', '')));
  return Buffer.from(`${order.join('')}--${BOUNDARY}--\r\n`);
}
