/** Runs a slow, repeatable operation such as a sync for many callers: one run serves all who asked before it began. */
export class SharedSync {
  readonly #sync: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** Resolves after a whole run that began after this call. @throws what that run throws */
  run(): Promise<void> {
    if (this.#running === undefined) return this.#begin();
    // The run that is under way may have missed what this caller did.
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  #begin(): Promise<void> {
    const running = this.#sync().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
