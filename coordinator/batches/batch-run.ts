import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { toStarlingError } from '../../daemon/errors.ts';
import { byBeginnings } from './beginnings.ts';
import { newId } from './ids.ts';
import type { InputReader, RequestPlace } from './input-file.ts';
import type { RequestLine } from './request-line.ts';
import { LONGEST_RESULT, type ResultsFile } from './results-file.ts';

/** What a request of a batch asks, and for whom. `owner` is the name of an API key, null without keys. */
export interface BatchRequest extends Omit<RequestLine, 'customId'> {
  readonly owner: string | null;
}

/** How it was answered, as over HTTP. */
export interface BatchResponse {
  readonly statusCode: number;
  readonly requestId: string;
  readonly body: unknown;
}

/**
 * Answers one request, whole. Errors come as responses with their status; what is thrown counts as a failure of the
 * server.
 * @param signal aborts when nobody wants the answer any more
 */
export type Execute = (request: BatchRequest, signal: AbortSignal) => Promise<BatchResponse>;

export interface BatchRunOptions {
  readonly owner: string | null;
  readonly input: InputReader;
  readonly output: ResultsFile;
  readonly errors: ResultsFile;
  readonly execute: Execute;
  /** How many requests to have under way; asked again and again. */
  readonly parallel: () => number;
  /** Called when a result is written down. */
  readonly onResult: (customId: string, isCompleted: boolean) => void;
  /** From one try of a request to the next. */
  readonly retryMs: number;
}

/** Times that a request is tried that the server fails at. */
const TRIES = 3;

interface Outcome {
  readonly response: BatchResponse | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly status: number;
}

const EXPIRED: Outcome = {
  response: null,
  error: { code: 'batch_expired', message: 'this request was not done within the completion window' },
  status: 504,
};
const TOO_LARGE: Outcome = {
  response: null,
  error: { code: 'response_too_large', message: `the answer is longer than ${LONGEST_RESULT} bytes` },
  status: 500,
};

/** Computes the requests of a batch and writes down what comes of each. */
export class BatchRun {
  readonly #options: BatchRunOptions;

  constructor(options: BatchRunOptions) {
    this.#options = options;
  }

  /**
   * Computes these, those with a common beginning one after the other.
   * @param signal stops it; what is under way then is computed again another time
   * @throws StarlingError store_limit_exceeded, disk_full, store_failed
   */
  async compute(requests: readonly RequestPlace[], signal: AbortSignal): Promise<void> {
    const failure = new AbortController();
    const stop = AbortSignal.any([signal, failure.signal]);
    // Each request listens: as many as are under way, and no leak.
    setMaxListeners(0, stop);
    const underWay = new Set<Promise<void>>();
    try {
      for (const place of byBeginnings(requests)) {
        while (underWay.size >= Math.max(1, this.#options.parallel())) await Promise.race(underWay);
        if (stop.aborted) break;
        const task: Promise<void> = this.#settle(place, stop).finally(() => underWay.delete(task));
        underWay.add(task);
      }
      await Promise.all(underWay);
    } finally {
      failure.abort();
      await Promise.allSettled(underWay);
    }
  }

  /** Writes down that these were not done in time. @throws as compute */
  async expire(requests: readonly RequestPlace[]): Promise<void> {
    for (const { customId } of requests) await this.#write(customId, EXPIRED);
  }

  async #settle(place: RequestPlace, signal: AbortSignal): Promise<void> {
    const { owner, input } = this.#options;
    const { customId, url, body } = await input.read(place);
    const request = { owner, url, body: { ...body, priority: 'batch' } };
    for (let tries = 1; !signal.aborted; tries++) {
      const outcome = await this.#try(request, signal);
      if (signal.aborted && outcome.status >= 400) return;
      if (!isWorthAnotherTry(outcome.status, tries)) return this.#write(customId, outcome);
      await sleep(this.#options.retryMs, undefined, { signal }).catch(() => {});
    }
  }

  async #try(request: BatchRequest, signal: AbortSignal): Promise<Outcome> {
    try {
      const response = await this.#options.execute(request, signal);
      return { response, error: null, status: response.statusCode };
    } catch (thrown) {
      const { code, message, kind } = toStarlingError(thrown);
      return { response: null, error: { code, message }, status: kind.http };
    }
  }

  async #write(customId: string, outcome: Outcome): Promise<void> {
    const line = resultLine(customId, outcome);
    if (Buffer.byteLength(line) > LONGEST_RESULT) return this.#write(customId, TOO_LARGE);
    const isCompleted = outcome.status < 400;
    await (isCompleted ? this.#options.output : this.#options.errors).append(line);
    this.#options.onResult(customId, isCompleted);
  }
}

/** A full queue and devices that are away pass; other failures of the server may. */
function isWorthAnotherTry(status: number, tries: number): boolean {
  if (status === 429 || status === 503) return true;
  return status >= 500 && status !== 504 && tries < TRIES;
}

/** A line of an output or error file in OpenAI's form. */
function resultLine(customId: string, { response, error }: Outcome): string {
  const answer = response && {
    status_code: response.statusCode,
    request_id: response.requestId,
    body: response.body,
  };
  return JSON.stringify({ id: newId('request'), custom_id: customId, response: answer, error });
}
