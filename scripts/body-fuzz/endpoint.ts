import type { Hono } from 'hono';
import { pino } from 'pino';
import { Batches } from '../../coordinator/batches/batches.ts';
import type { TextService } from '../../coordinator/generation/text-service.ts';
import { createApi } from '../../coordinator/http/api.ts';
import { BATCH_ENDPOINTS } from '../../coordinator/http/dialects/openai/served-batches.ts';
import { executeWith } from '../../coordinator/http/execute-request.ts';
import type { Logger } from '../../daemon/log.ts';
import { chatLine } from '../../test/fixtures/batch-folder.ts';
import { FAKE_FACTS } from '../../test/fixtures/http-endpoint.ts';
import type { RequestCase } from './request-case.ts';
import { KNOWN_FILE } from './valid-bodies.ts';

const BATCHES_AT_A_TIME = 4;

export interface Answered {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/** The whole HTTP interface in this process, with files and batches in a folder. */
export class FuzzedEndpoint {
  /** What was logged as an error. */
  readonly errors: string[];
  readonly #app: Hono;
  readonly #service: TextService;
  readonly #batches: Batches;
  readonly #fileId: string;

  private constructor(app: Hono, service: TextService, batches: Batches, fileId: string, errors: string[]) {
    this.#app = app;
    this.#service = service;
    this.#batches = batches;
    this.#fileId = fileId;
    this.errors = errors;
  }

  /** @param folder empty */
  static async open(makeService: (log: Logger) => TextService, folder: string): Promise<FuzzedEndpoint> {
    const errors: string[] = [];
    const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) });
    const service = makeService(log);
    const batches = new Batches({
      folder,
      endpoints: BATCH_ENDPOINTS,
      execute: executeWith(async (request, bindings) => app.fetch(request, bindings)),
      parallel: () => BATCHES_AT_A_TIME,
      log,
    });
    const app = createApi({ service, facts: FAKE_FACTS, log, batches });
    await batches.start();
    const content = (async function* () {
      yield Buffer.from(`${chatLine('a', 'Hello')}\n{"not": "a request"}\n`);
    })();
    const { id } = await batches.upload({ owner: null, filename: 'input.jsonl', content });
    return new FuzzedEndpoint(app, service, batches, id, errors);
  }

  /** @throws what the application throws: it should answer whatever comes */
  async answer({ method, path, headers, body }: RequestCase): Promise<Answered> {
    const request = new Request(`http://localhost${this.#named(path)}`, {
      method,
      headers,
      body: body?.includes(KNOWN_FILE) ? this.#named(body.toString()) : body,
    });
    const response = await this.#app.fetch(request);
    const contentType = response.headers.get('content-type') ?? '';
    return { status: response.status, contentType, text: await response.text() };
  }

  /** Stops. @returns what is left of requests that were answered; null for nothing */
  async close(): Promise<string | null> {
    await this.#batches.stop();
    const { waiting, running } = this.#service.load;
    const { pages, free, cached, sequences } = this.#service.statistics.kv;
    const isClean = waiting + running + sequences === 0 && free + cached === pages;
    return isClean ? null : JSON.stringify({ waiting, running, pages, free, cached, sequences });
  }

  #named(text: string): string {
    return text.replaceAll(KNOWN_FILE, this.#fileId);
  }
}
