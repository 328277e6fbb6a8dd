import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import { hostPort } from '../../daemon/protocol/link.ts';
import { reachableAt } from '../../daemon/reachable-at.ts';
import type { AccessPolicy } from './access.ts';
import { type ApiOptions, createApi } from './api.ts';
import type { InternalBindings } from './authentication.ts';
import { answerConnections, KEEP_ALIVE_MS } from './connections.ts';
import { errorText } from './error-response.ts';
import { createStartingApi } from './starting-api.ts';

/** What is served once a model is up. */
export type Served = Pick<ApiOptions, 'service' | 'facts' | 'batches' | 'devices' | 'plan' | 'usage'>;

export interface HttpServerOptions extends Omit<ApiOptions, 'access' | 'shutdown' | keyof Served>, Partial<Served> {
  /** Address to listen on; 127.0.0.1 by default, so that only this computer gets in. */
  readonly host?: string;
  /** 7827 by default; 0 for any free port. */
  readonly port?: number;
  /** One more port where the same is served; null, the default, for none. */
  readonly secondPort?: number | null;
  /** Connections at a time; MAX_CONNECTIONS by default. */
  readonly maxConnections?: number;
  /** More host names under which the server may be addressed. */
  readonly allowedHosts?: readonly string[];
  /** More origins whose pages may use the endpoint. */
  readonly allowedOrigins?: readonly string[];
}

export const DEFAULT_HTTP_HOST = '127.0.0.1';
export const DEFAULT_HTTP_PORT = 7827;

/** A request must have arrived whole by then, so that slow senders cannot pile up. */
const REQUEST_TIMEOUT_MS = 60_000;
/** What a stop gives aborted requests to tell their clients. */
const STOP_GRACE_MS = 1000;
const IDLE_SWEEP_MS = 20;

function listenError(cause: NodeJS.ErrnoException, host: string, port: number, option: string): StarlingError {
  if (cause.code === 'EADDRINUSE') {
    return new StarlingError(
      'address_in_use',
      `port ${port} on ${host} is used by another program; stop it or choose another port with ${option}`,
      { cause },
    );
  }
  return new StarlingError(
    'invalid_argument',
    `the server cannot listen on ${host}, port ${port} (${cause.message}); check --host and ${option}`,
    { cause },
  );
}

/** Serves the API on a socket. */
export class HttpServer {
  readonly #host: string;
  readonly #port: number;
  readonly #options: HttpServerOptions;
  #running: { readonly servers: readonly Server[]; readonly shutdown: AbortController; app: Hono } | null = null;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#host = options.host ?? DEFAULT_HTTP_HOST;
    this.#port = options.port ?? DEFAULT_HTTP_PORT;
  }

  /**
   * Starts listening. Without a service, every request is told that the model is not up yet, until `open`.
   * @returns where this computer reaches the server, without a slash at the end; `secondUrl` where it has a second port
   * @throws StarlingError address_in_use, invalid_argument
   */
  async start(): Promise<{ url: string; secondUrl?: string }> {
    if (this.#running !== null) throw new StarlingError('internal', 'the HTTP server was started twice');
    const shutdown = new AbortController();
    const { service, facts, log, secondPort = null } = this.#options;
    const app =
      service === undefined || facts === undefined
        ? createStartingApi(this.#access, log)
        : createApi({ ...this.#options, service, facts, access: this.#access, shutdown: shutdown.signal });
    const listener = getRequestListener((request) => (this.#running?.app ?? app).fetch(request), {
      overrideGlobalObjects: false,
      errorHandler: (thrown) => this.#malformed(thrown),
    });
    const servers = [await this.#listen(listener, this.#port, '--port')];
    this.#running = { servers, shutdown, app };
    try {
      if (secondPort !== null) servers.push(await this.#listen(listener, secondPort, '--ollama-port'));
    } catch (error) {
      await this.stop();
      throw error;
    }
    const [url, secondUrl] = servers.map((server) => this.#urlOf(server));
    return { url: url!, ...(secondUrl === undefined ? {} : { secondUrl }) };
  }

  /** @param option by which the port was chosen @throws StarlingError address_in_use, invalid_argument */
  async #listen(listener: RequestListener, port: number, option: string): Promise<Server> {
    const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS });
    answerConnections(server, this.#options.maxConnections);
    server.on('request', (incoming, outgoing) => {
      if (!outgoing.headersSent) void listener(incoming, outgoing);
    });
    await new Promise<void>((resolve, reject) => {
      const refuse = (cause: Error): void => reject(listenError(cause, this.#host, port, option));
      server.once('error', refuse);
      server.listen(port, this.#host, () => {
        server.off('error', refuse);
        resolve();
      });
    });
    server.on('error', (error) => this.#options.log.error({ err: error }, 'HTTP server'));
    return server;
  }

  #urlOf(server: Server): string {
    const { port } = server.address() as AddressInfo;
    // a zone is written so in URLs: RFC 6874
    const host = reachableAt(this.#host).replace('%', '%25');
    return `http://${hostPort(host, port)}`;
  }

  /** Serves from now on. @throws StarlingError internal unless it listens */
  open(served: Served): void {
    const running = this.#running;
    if (running === null) throw new StarlingError('internal', 'the HTTP server does not listen');
    running.app = createApi({ ...this.#options, ...served, access: this.#access, shutdown: running.shutdown.signal });
  }

  /** Answers a request of this process itself. @throws StarlingError cancelled when the server has stopped */
  async ask(request: Request, bindings: InternalBindings): Promise<Response> {
    const running = this.#running;
    if (running === null) throw new StarlingError('cancelled', 'the server has stopped');
    return running.app.fetch(request, bindings);
  }

  get #access(): AccessPolicy {
    return {
      boundHost: this.#host,
      allowedHosts: this.#options.allowedHosts ?? [],
      allowedOrigins: this.#options.allowedOrigins ?? [],
    };
  }

  /** Aborts all requests, tells their clients, and closes. Does nothing when it is not running. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    const { servers, shutdown } = running;
    const closed = Promise.all(
      servers.map((server) => new Promise<void>((resolve) => void server.close(() => resolve()))),
    );
    shutdown.abort(new StarlingError('cancelled', 'the server is stopping; ask again when it is back'));
    const each = (act: (server: Server) => void): void => servers.forEach(act);
    // A connection that is kept alive becomes idle only once its aborted request has been answered.
    const sweep = setInterval(() => each((server) => server.closeIdleConnections()), IDLE_SWEEP_MS);
    const grace = setTimeout(() => each((server) => server.closeAllConnections()), STOP_GRACE_MS);
    await closed;
    clearInterval(sweep);
    clearTimeout(grace);
  }

  /** A request so malformed that no route sees it, such as one with a broken Host header. */
  #malformed(thrown: unknown): Response {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    this.#options.log.debug({ reason }, 'malformed request');
    const error = new StarlingError('invalid_request', `the request is malformed: ${reason}`);
    return new Response(errorText(error, '/'), {
      status: error.kind.http,
      headers: { 'Content-Type': 'application/json; charset=UTF-8' },
    });
  }
}
