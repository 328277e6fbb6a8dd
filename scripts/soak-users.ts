// Puts a served model under random load and watches that nothing is lost, stuck, wrong or leaking:
// npm run -s soak:users -- --minutes 60
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { decimal, integer } from '../coordinator/cli/options.ts';
import { median, rounded } from './bench-statistics.ts';
import { mix } from './random-words.ts';
import { StarlingProcess } from './starling-process.ts';

interface SoakOptions {
  readonly minutes: number;
  readonly clients: number;
  readonly seed: number;
}

/** A request whose answer is known, because it was asked for alone before. */
interface Known {
  readonly body: Readonly<Record<string, unknown>>;
  readonly texts: readonly string[];
}

interface Counts {
  answered: number;
  streamed: number;
  left: number;
  timedOut: number;
  refused: number;
}

interface Health {
  readonly queue: { readonly waiting: number; readonly running: number };
  readonly kv: { readonly pages: number; readonly free: number; readonly cached: number; readonly sequences: number };
}

const START_MS = 60_000;
/** Longer than any request may take here, by far. */
const STUCK_MS = 120_000;
const SAMPLE_MS = 2000;
/** What resident memory may grow by from the second quarter of the time to the last. */
const GROWTH = { factor: 1.1, bytes: 24e6 };
const QUESTIONS = 24;
const SUBJECTS = ['a dog', 'a cat', 'the sea', 'my mother', 'a red ball', 'the rain'];

/** Draws that follow from a seed. */
class Draws {
  #state: number;

  constructor(seed: number) {
    this.#state = mix(seed);
  }

  below(n: number): number {
    this.#state = mix(this.#state + 1);
    return (this.#state >>> 0) % n;
  }

  chance(probability: number): boolean {
    return this.below(1e6) < probability * 1e6;
  }
}

function question(i: number): Record<string, unknown> {
  const story = `Tell me a story about ${SUBJECTS[i % SUBJECTS.length]}. `.repeat(1 + (i % 4));
  const messages = [{ role: 'user', content: story }];
  if (i % 3 === 0) messages.unshift({ role: 'system', content: 'You tell stories that children like. '.repeat(12) });
  return {
    model: 'starling',
    messages,
    max_tokens: 8 + (i % 5) * 12,
    temperature: i % 2 === 0 ? 0 : 0.9,
    top_p: i % 4 === 1 ? 0.9 : 1,
    seed: i,
    n: i % 7 === 6 ? 3 : 1,
  };
}

async function ask(
  url: string,
  body: object,
  signal: AbortSignal,
): Promise<{ status: number; texts: string[]; code?: string }> {
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body), signal });
  const answer = (await response.json()) as {
    choices?: { message: { content: string } }[];
    error?: { code: string };
  };
  const texts = (answer.choices ?? []).map(({ message }) => message.content);
  return { status: response.status, texts, ...(answer.error === undefined ? {} : { code: answer.error.code }) };
}

/** Reads a stream, slowly where `pauseMs` says so. @returns its texts; null when it was left after `most` events */
async function stream(
  url: string,
  body: object,
  signal: AbortSignal,
  pauseMs: number,
  most: number,
): Promise<string[] | null> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  if (response.body === null) throw new Error('a stream without a body');
  const texts: string[] = [];
  let held = '';
  let events = 0;
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    const lines = (held + decoder.decode(bytes, { stream: true })).split('\n\n');
    held = lines.pop() ?? '';
    for (const line of lines.filter((one) => one.startsWith('data: {'))) {
      const { choices = [], error } = JSON.parse(line.slice('data: '.length));
      if (error !== undefined) throw new Error(`a stream ended with ${error.code}: ${error.message}`);
      for (const { index, delta } of choices) texts[index] = (texts[index] ?? '') + (delta.content ?? '');
      // Leaving the loop closes the connection.
      if (++events > most) return null;
    }
    if (pauseMs > 0) await sleep(pauseMs);
  }
  return texts;
}

/** One client: random requests until the time is up. */
async function client(
  url: string,
  known: readonly Known[],
  draws: Draws,
  until: number,
  counts: Counts,
): Promise<void> {
  while (performance.now() < until) {
    const { body, texts } = known[draws.below(known.length)]!;
    const standing = { user: `user ${draws.below(5)}`, priority: draws.chance(0.3) ? 'batch' : 'interactive' };
    const request = { ...body, ...standing };
    const stuck = AbortSignal.timeout(STUCK_MS);
    const kind = draws.below(10);
    let got: readonly string[] | null = null;
    if (kind < 4) {
      const { status, texts: whole, code } = await ask(url, request, stuck);
      if (status === 200) got = whole;
      else if (code === 'queue_full') counts.refused++;
      else throw new Error(`answered with ${status} ${code}`);
    } else if (kind === 4) {
      const {
        status,
        texts: whole,
        code,
      } = await ask(url, { ...request, timeout: 0.001 + draws.below(80) / 1000 }, stuck);
      if (status === 200) got = whole;
      else if (code === 'deadline_exceeded' || code === 'queue_full') counts.timedOut++;
      else throw new Error(`answered with ${status} ${code}`);
    } else {
      const leaves = draws.chance(0.3);
      const most = leaves ? draws.below(12) : Number.POSITIVE_INFINITY;
      got = await stream(url, request, stuck, draws.chance(0.2) ? draws.below(20) : 0, most);
      if (got === null) counts.left++;
      else counts.streamed++;
    }
    if (got !== null) {
      counts.answered++;
      if (JSON.stringify(got) !== JSON.stringify(texts)) {
        throw new Error(
          `another text than alone for ${JSON.stringify(body)}:\n${got.join('\n')}\ninstead of\n${texts.join('\n')}`,
        );
      }
    }
    if (draws.chance(0.2)) await sleep(draws.below(300));
  }
}

async function healthOf(url: string): Promise<Health> {
  return (await (await fetch(`${url}/health`)).json()) as Health;
}

/** Bytes; null where the system has no /proc. */
async function residentBytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

async function soak({ minutes, clients, seed }: SoakOptions): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'starling-soak-'));
  const served = new StarlingProcess(['serve', 'tiny-chat', '--no-discovery', '--port', '0', '--context', '512'], {
    home,
  });
  try {
    const url = (await served.waitFor(/is served at (\S+)\/v1/, START_MS))[1]!;
    const known: Known[] = [];
    for (let i = 0; i < QUESTIONS; i++) {
      const body = question(i);
      known.push({ body, texts: (await ask(url, body, AbortSignal.timeout(STUCK_MS))).texts });
    }
    const counts: Counts = { answered: 0, streamed: 0, left: 0, timedOut: 0, refused: 0 };
    const until = performance.now() + minutes * 60_000;
    const memory: number[] = [];
    const work = Promise.all(
      Array.from({ length: clients }, (_, i) => client(url, known, new Draws(seed * 1000 + i), until, counts)),
    );
    const watch = (async () => {
      while (performance.now() < until) {
        const bytes = await residentBytes(served.pid);
        if (bytes !== null) memory.push(bytes);
        await sleep(Math.min(SAMPLE_MS, (minutes * 60_000) / 20));
      }
    })();
    await Promise.all([work, watch]);
    const deadline = performance.now() + STUCK_MS;
    let health = await healthOf(url);
    while (health.queue.running + health.queue.waiting > 0) {
      if (performance.now() > deadline) throw new Error(`requests are stuck: ${JSON.stringify(health)}`);
      await sleep(100);
      health = await healthOf(url);
    }
    const { pages, free, cached, sequences } = health.kv;
    if (sequences !== 0 || free + cached !== pages) throw new Error(`KV pages are lost: ${JSON.stringify(health.kv)}`);
    const quarter = Math.floor(memory.length / 4);
    const [early, late] =
      quarter === 0 ? [0, 0] : [median(memory.slice(quarter, 2 * quarter)), median(memory.slice(-quarter))];
    const report = {
      minutes,
      clients,
      seed,
      ...counts,
      rss_mb: [rounded(early / 1e6, 1), rounded(late / 1e6, 1)],
      kv: health.kv,
    };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    if (late > early * GROWTH.factor + GROWTH.bytes) throw new Error('resident memory keeps growing');
  } finally {
    await served.stop();
    await rm(home, { recursive: true, force: true });
  }
}

const command = new Command('soak-users')
  .description('Random load on a served model: answers must be those that requests get alone, and nothing may leak.')
  .option('--minutes <n>', 'how long', decimal(0.01, 10_000), 10)
  .option('--clients <n>', 'at the same time', integer(1, 200), 12)
  .option('--seed <n>', 'of the load', integer(0, 2 ** 31), 1)
  .parse();
await soak(command.opts<SoakOptions>());
