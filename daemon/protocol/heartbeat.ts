import { performance } from 'node:perf_hooks';

/** The clock and timers of a heartbeat; a test hands in its own. */
export interface HeartbeatClock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls `tick` every `ms` until the returned function is called. */
  every(ms: number, tick: () => void): () => void;
  /** Calls `step` once, after input that already waits at this process has been handled. */
  afterInput(step: () => void): void;
}

export const systemClock: HeartbeatClock = {
  now: () => performance.now(),
  every: (ms, tick) => {
    const timer = setInterval(tick, ms);
    return () => clearInterval(timer);
  },
  afterInput: (step) => {
    setImmediate(step);
  },
};

export interface HeartbeatOptions {
  /** Milliseconds between pings. */
  readonly intervalMs: number;
  /** Milliseconds of silence after which the other side counts as lost. */
  readonly lostAfterMs: number;
  readonly clock: HeartbeatClock;
  /** Grows whenever anything is received; what it counts does not matter. */
  readonly received: () => number;
  readonly ping: () => void;
  readonly lost: (silentMs: number) => void;
  /** Told when a tick came so late that the other side may have given this one up, and by how much. */
  readonly late?: (ms: number) => void;
}

/**
 * Pings, and tells once when the other side has been silent too long. Silence counts only as far as this process was
 * awake to hear: a tick that comes late (a long computation, a suspended laptop) counts as one interval, and the
 * verdict waits until the input that piled up meanwhile has been handled.
 *
 * @returns a function that stops it
 */
export function startHeartbeat(options: HeartbeatOptions): () => void {
  const { intervalMs, lostAfterMs, clock, received, ping, lost, late } = options;
  let heard = received();
  let last = clock.now();
  let silentMs = 0;
  let stopped = false;
  const cancel = clock.every(intervalMs, () => {
    const now = clock.now();
    if (now - last - intervalMs >= lostAfterMs / 2) late?.(now - last - intervalMs);
    silentMs += Math.min(now - last, intervalMs);
    last = now;
    listen();
    ping();
    if (silentMs >= lostAfterMs) clock.afterInput(verdict);
  });
  return stop;

  function listen(): void {
    const total = received();
    if (total !== heard) silentMs = 0;
    heard = total;
  }

  function verdict(): void {
    listen();
    if (stopped || silentMs < lostAfterMs) return;
    stop();
    lost(silentMs);
  }

  function stop(): void {
    stopped = true;
    cancel();
  }
}
