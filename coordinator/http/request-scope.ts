/** The life of one request: its signal aborts when the client leaves, when the server stops, or on its own account. */
export class RequestScope {
  readonly #controller = new AbortController();
  readonly #onDispose: (scope: RequestScope) => void;

  /** @param onDispose called once, when the request is over */
  constructor(onDispose: (scope: RequestScope) => void = () => {}) {
    this.#onDispose = onDispose;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  dispose(): void {
    this.#onDispose(this);
  }
}

/**
 * The requests under way. They hang on one listener of the server's signal between them: a listener for each would be
 * taken for a leak as soon as there are a dozen.
 */
export class RequestScopes {
  readonly #open = new Set<RequestScope>();
  readonly #shutdown: AbortSignal | undefined;

  /** @param shutdown aborts all requests; lives as long as this */
  constructor(shutdown?: AbortSignal) {
    this.#shutdown = shutdown;
    const abortAll = (): void => {
      for (const scope of [...this.#open]) scope.abort(shutdown?.reason);
    };
    shutdown?.addEventListener('abort', abortAll, { once: true });
  }

  /** @param client aborts when the client leaves; of this request alone */
  open(client: AbortSignal): RequestScope {
    const leave = (): void => scope.abort(client.reason);
    const scope = new RequestScope(() => {
      client.removeEventListener('abort', leave);
      this.#open.delete(scope);
    });
    this.#open.add(scope);
    client.addEventListener('abort', leave, { once: true });
    if (client.aborted) leave();
    if (this.#shutdown?.aborted) scope.abort(this.#shutdown.reason);
    return scope;
  }
}
