/** The life of one request: its signal aborts with the first of several signals, or on its own account. */
export class RequestScope {
  readonly #controller = new AbortController();
  readonly #links: { readonly source: AbortSignal; readonly listener: () => void }[] = [];

  constructor(...sources: (AbortSignal | undefined)[]) {
    for (const source of sources) {
      if (source === undefined) continue;
      if (source.aborted) this.abort(source.reason);
      const listener = (): void => this.abort(source.reason);
      source.addEventListener('abort', listener, { once: true });
      this.#links.push({ source, listener });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Lets go of the sources. They may live as long as the server, so a request that is over must not hang on them. */
  dispose(): void {
    for (const { source, listener } of this.#links) source.removeEventListener('abort', listener);
    this.#links.length = 0;
  }
}
