/**
 * Runs acquisitions side by side. When one fails, or the signal aborts, those under way are told to stop, and
 * everything that was acquired, or still is, is released before the first failure is thrown: nothing is left that keeps
 * the process alive.
 * @param acquire each is given a signal that ends it; it must settle soon after that
 * @returns in the order of `acquire`
 */
export async function acquireAll<T>(
  acquire: readonly ((signal: AbortSignal) => Promise<T>)[],
  release: (acquired: T) => void | Promise<void>,
  signal?: AbortSignal,
): Promise<T[]> {
  const stop = new AbortController();
  const abort = (): void => stop.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  const pending = acquire.map(async (each) => each(stop.signal));
  try {
    return await Promise.all(pending);
  } catch (error) {
    stop.abort(error);
    for (const settled of await Promise.allSettled(pending)) {
      if (settled.status === 'fulfilled') await release(settled.value);
    }
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}
