import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { chunkStream } from '../../../../coordinator/http/dialects/openai/framing.ts';
import { RequestScope, RequestScopes } from '../../../../coordinator/http/request-scope.ts';
import { responseStream } from '../../../../coordinator/http/response-stream.ts';
import { serverSentEvent } from '../../../../coordinator/http/server-sent-events.ts';
import { Silence, type SilenceClock } from '../../../../coordinator/http/silence.ts';
import { createLogger } from '../../../../daemon/log.ts';

/** A clock that stands still until it is told to go on. */
class ManualClock implements SilenceClock {
  ms = 0;
  readonly #timers = new Map<() => void, number>();

  now(): number {
    return this.ms;
  }

  after(ms: number, action: () => void): () => void {
    this.#timers.set(action, this.ms + ms);
    return () => this.#timers.delete(action);
  }

  /** Lets time pass, timer by timer. */
  goTo(ms: number): void {
    for (;;) {
      const next = [...this.#timers].filter(([, at]) => at <= ms).sort((a, b) => a[1] - b[1])[0];
      if (next === undefined) break;
      this.#timers.delete(next[0]);
      this.ms = next[1];
      next[0]();
    }
    this.ms = ms;
  }

  get timers(): number {
    return this.#timers.size;
  }
}

const log = createLogger('silent', 'test');
const IDLE = { choices: [{ index: 0, delta: { content: '' }, finish_reason: null }] };
const NO_USAGE = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 };
const chunk = (content: string) => ({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });

test('A2: silence is measured from the last thing that happened', () => {
  const clock = new ManualClock();
  const heard: number[] = [];
  const silence = new Silence(10_000, () => heard.push(clock.ms), clock);
  clock.goTo(300);
  silence.broken();
  clock.goTo(10_299);
  assert.deepEqual(heard, []);
  clock.goTo(25_000);
  assert.deepEqual(heard, [10_300, 20_300]);
  for (let ms = 25_000; ms <= 60_000; ms += 5000) {
    clock.goTo(ms);
    silence.broken();
  }
  assert.deepEqual(heard, [10_300, 20_300]);
  silence.stop();
  assert.equal(clock.timers, 0);
});

/** What a stream carries that is silent three times, once between two choices' ends. */
async function silentStream(isSilent = false): Promise<string> {
  const clock = new ManualClock();
  const words = chunkStream({ opening: () => [], event: () => [], idle: () => IDLE, usage: null });
  const body = responseStream({
    scope: new RequestScope(),
    log,
    keepAliveMs: 10_000,
    stalledClientMs: 60_000,
    signOfLife: () => (isSilent ? null : words.idle(0)),
    failed: words.failed,
    clock,
    produce: async (sendText) => {
      const send = (data: unknown) => sendText(serverSentEvent(data));
      await send({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] });
      clock.goTo(clock.ms + 25_000);
      await send(chunk('Hel'));
      clock.goTo(clock.ms + 9999);
      await send(chunk('lo'));
      clock.goTo(clock.ms + 10_000);
      await send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
      for (const text of words.closing(NO_USAGE)) await sendText(text);
    },
  });
  const text = await new Response(body).text();
  assert.equal(clock.timers, 0);
  return text;
}

const contentOf = (json: string): string =>
  (JSON.parse(json) as { choices: { delta: { content?: string } }[] }).choices[0]!.delta.content ?? '';

/** Readers as people write them, each faithful to what such programs do; they return the answer's text. */
const READERS: Readonly<Record<string, (stream: string) => string>> = {
  'one that takes every blank line for an event': (stream) => {
    let text = '';
    let data = '';
    for (const line of stream.split('\n').slice(0, -1)) {
      if (line === '') {
        if (data.startsWith('[DONE]')) return text;
        text += contentOf(data);
        data = '';
      } else if (/^data: ?/.test(line)) data += line.replace(/^data: ?/, '');
    }
    throw new Error('no end');
  },
  'one that splits at blank lines and looks at what begins with data': (stream) =>
    stream
      .split('\n\n')
      .filter((part) => part.startsWith('data: ') && part !== 'data: [DONE]')
      .map((part) => contentOf(part.slice('data: '.length)))
      .join(''),
  'one that splits at blank lines and takes the lines apart': (stream) =>
    stream
      .split('\n\n')
      .filter((part) => part !== '')
      .map((part) => part.split('\n').find((line) => line.startsWith('data:'))!)
      .filter((line) => line !== 'data: [DONE]')
      .map((line) => contentOf(line.slice('data:'.length)))
      .join(''),
  'one that reads line by line': (stream) =>
    stream
      .split(/\r?\n/)
      .filter((line) => line.startsWith('data:') && !line.includes('[DONE]'))
      .map((line) => contentOf(line.replace(/^data:/, '')))
      .join(''),
  'one that expects a choice in every event': (stream) =>
    [...stream.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => contentOf(json!)).join(''),
};

test('A1: what a silent stream carries survives naive readers', async () => {
  const stream = await silentStream();
  assert.equal(stream.match(/^: keep-alive$/gm)?.length, 3);
  assert.doesNotMatch(stream, /^:[^\n]*\n\n/m);
  assert.doesNotMatch(stream, /\n\n\n|^\n/);
  for (const [name, read] of Object.entries(READERS)) assert.equal(read(stream), 'Hello', name);
});

test('A1: a stream with nothing left to say an event about stays silent', async () => {
  assert.doesNotMatch(await silentStream(true), /^:/m);
});

test('A6: requests under way hang on the server’s signal by one listener, and let go of what they hung on', () => {
  const shutdown = new AbortController();
  const client = new AbortController();
  const scopes = new RequestScopes(shutdown.signal);
  const open = Array.from({ length: 64 }, () => scopes.open(new AbortController().signal));
  const left = scopes.open(client.signal);
  const over = scopes.open(client.signal);
  assert.equal(getEventListeners(shutdown.signal, 'abort').length, 1);
  over.dispose();
  client.abort(new Error('left'));
  assert.deepEqual([left.signal.aborted, over.signal.aborted, open[0]!.signal.aborted], [true, false, false]);
  left.dispose();
  assert.equal(getEventListeners(client.signal, 'abort').length, 0);
  shutdown.abort(new Error('stops'));
  assert.ok(open.every(({ signal }) => signal.aborted && signal.reason.message === 'stops'));
  assert.equal(over.signal.aborted, false);
  assert.equal(scopes.open(new AbortController().signal).signal.aborted, true);
});
