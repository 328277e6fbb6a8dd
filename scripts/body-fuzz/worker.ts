import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { BODY_LIMIT } from '../../coordinator/http/json-body.ts';
import { parseJson } from '../../coordinator/parse-json.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { briefServices } from './brief-service.ts';
import { type Answered, FuzzedEndpoint } from './endpoint.ts';
import { faultOf, faultOfLog } from './judge.ts';
import { READERS } from './readers.ts';
import { bodyCase, type RequestCase, requestCase } from './request-case.ts';
import { type SlowCase, Slowest } from './slowest.ts';

/** What a run is told. */
export interface FuzzOrder {
  readonly seed: number;
  readonly count: number;
  readonly seconds: number;
  /** Holds how many cases are over: whoever watches sees by it when one hangs. */
  readonly progress: BigInt64Array;
}

/** What comes of it. */
export interface FuzzReport {
  readonly cases: number;
  readonly statuses: Readonly<Record<number, number>>;
  readonly findings: number;
  readonly slowest: readonly string[];
  /** Bytes of the heap after the first round and after the last. */
  readonly heap: readonly [first: number, last: number];
}

/** Cases with one endpoint; then it is looked at what is left of them. */
const ROUND = 20_000;
/** One request in so many is asked a second time; */
const TWICE = 16;
/** one in so many is a request to the whole application: the others are bodies, which are read. */
const WHOLE = 32;
const MOST_FINDINGS = 20;
const HEAP_GROWTH = 64 * 2 ** 20;
const SLOW_MS = 2000;
/** Counted as a status where nothing is answered. */
const READ = 200;

const { seed: firstSeed, count, seconds, progress } = workerData as FuzzOrder;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const services = await briefServices();
let findings = 0;
const statuses: Record<number, number> = {};
const slowest = new Slowest();
const heaps: number[] = [];
const until = Date.now() + seconds * 1000;
let cases = 0;

/** Told at once: a run that hangs later has no report. */
function found(finding: string): void {
  findings++;
  console.error(finding);
}

function note(status: number, slow: SlowCase): void {
  statuses[status] = (statuses[status] ?? 0) + 1;
  slowest.add(slow);
}

const isOver = (): boolean => cases >= count || Date.now() >= until || findings >= MOST_FINDINGS;

/** A case asked again gets the same status, unless it changes what there is, or runs against the clock. */
async function faultOfRepetition(
  endpoint: FuzzedEndpoint,
  asked: RequestCase,
  first: Answered,
): Promise<string | null> {
  if (asked.method !== 'POST' || asked.path.includes('/cancel')) return null;
  const { status } = await endpoint.answer(asked);
  return status === first.status || [status, first.status].includes(504) ? null : `${first.status}, then ${status}`;
}

/** Processor time of this process. It takes long to ask for. */
async function cpuMsOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** What is wrong with how a body is read: it may be refused, with a status that says so. */
function faultOfReading(seed: number): string | null {
  const { path, text } = bodyCase(seed);
  // The application does not read it, either.
  if (text.length > BODY_LIMIT) return null;
  const before = performance.now();
  let status = READ;
  let fault: string | null = null;
  try {
    const body = parseJson(text);
    if (typeof body === 'object' && body !== null && !Array.isArray(body))
      READERS.get(path)!(body as Readonly<Record<string, unknown>>);
  } catch (thrown) {
    const isRefusal = thrown instanceof StarlingError && thrown.kind.http < 500;
    if (isRefusal) status = thrown.kind.http;
    else fault = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
  note(status, { seed, ms: performance.now() - before, bytes: text.length, asked: `${path} ${text.slice(0, 2000)}` });
  return fault === null ? null : `${fault}\n  ${path} ${text.slice(0, 2000)}`;
}

async function faultOfRequest(endpoint: FuzzedEndpoint, seed: number): Promise<string | null> {
  const asked = requestCase(seed);
  const fault = await faultOfCase(endpoint, seed, asked).catch((thrown: unknown) =>
    thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
  );
  return fault === null ? null : `${fault}\n  ${shown(asked)}`;
}

async function faultOfCase(endpoint: FuzzedEndpoint, seed: number, asked: RequestCase): Promise<string | null> {
  const before = performance.now();
  const answered = await endpoint.answer(asked);
  const ms = performance.now() - before;
  note(answered.status, { seed, ms, bytes: asked.body?.length ?? 0, asked: shown(asked) });
  const logged = endpoint.errors.splice(0);
  const fault = faultOf(asked, answered) ?? faultOfLog(logged);
  if (fault !== null) return `${fault}; ${answered.status} ${answered.text.slice(0, 300)}`;
  if (ms > SLOW_MS) {
    const cpuMs = await cpuMsOf(() => endpoint.answer(asked));
    if (cpuMs > SLOW_MS) return `took ${cpuMs} ms`;
  }
  return (seed / WHOLE) % TWICE === 0 ? faultOfRepetition(endpoint, asked, answered) : null;
}

async function round(folder: string): Promise<void> {
  const endpoint = await FuzzedEndpoint.open(services.make, folder);
  const end = cases + ROUND;
  while (cases < end && !isOver()) {
    const seed = (firstSeed + cases) % 2 ** 32;
    const fault = seed % WHOLE === 0 ? await faultOfRequest(endpoint, seed) : faultOfReading(seed);
    if (fault !== null) found(`seed ${seed}: ${fault}`);
    Atomics.store(progress, 0, BigInt(++cases));
  }
  const left = await endpoint.close();
  if (left !== null) found(`left after ${cases} cases from seed ${firstSeed}: ${left}`);
  collectGarbage();
  heaps.push(process.memoryUsage().heapUsed);
}

/** The beginning of a request. */
function shown({ method, path, headers, body }: RequestCase): string {
  return `${method} ${path.slice(0, 200)} ${JSON.stringify(headers).slice(0, 300)} ${body?.toString().slice(0, 2000)}`;
}

while (!isOver()) {
  const folder = await mkdtemp(join(tmpdir(), 'starling-fuzz-'));
  await round(folder).finally(() => rm(folder, { recursive: true, force: true }));
}
services.close();
const [first = 0] = heaps;
const last = heaps.at(-1) ?? 0;
if (last - first > HEAP_GROWTH) found(`the heap grew from ${first} to ${last} bytes`);
const slow = slowest
  .all()
  .map(({ seed, ms, bytes, asked }) => `${ms.toFixed(0)} ms, ${bytes} bytes, seed ${seed}: ${asked}`);
parentPort!.postMessage({ cases, statuses, findings, slowest: slow, heap: [first, last] } satisfies FuzzReport);
