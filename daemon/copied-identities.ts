import type { Peer } from './peers.ts';

/** Two devices that announce one id. */
export interface CopiedIdentity {
  readonly id: string;
  /** Of their cluster. */
  readonly keyId: string;
  /** As `name at host`, of each. */
  readonly devices: readonly string[];
}

/** What makes two devices of one identity, and what ends it. */
export const COPIED =
  'its Starling home was copied, as with the image of a disk; on one of them stop the daemon, delete identity.json in that home, and start it again';

/** More than any home has; bounds what a flood of announcements costs. */
const MAX_IDS = 256;
const MAX_RUNS = 4;

/**
 * Notices ids that two devices have, as when a home was copied with the image of a disk. A daemon that was started
 * again has another run too, but its former one is heard no more: only of two devices does each come again after the
 * other.
 */
export class CopiedIdentities {
  /** Of each id, who announced it with which run, the last heard last. */
  readonly #heard = new Map<string, Map<string, string>>();
  /** Each with its cluster. */
  readonly #copied = new Map<string, string>();

  heard({ id, keyId, run, name, host }: Peer): void {
    if (run === null) return;
    const runs = this.#heard.get(id) ?? new Map<string, string>();
    if (!this.#heard.has(id) && this.#heard.size >= MAX_IDS) return;
    const isLast = [...runs.keys()].at(-1) === run;
    if (runs.has(run) && !isLast) this.#copied.set(id, keyId);
    runs.delete(run);
    runs.set(run, `${name} at ${host}`);
    if (runs.size > MAX_RUNS) runs.delete([...runs.keys()][0] as string);
    this.#heard.set(id, runs);
  }

  list(): CopiedIdentity[] {
    return [...this.#copied].map(([id, keyId]) => ({
      id,
      keyId,
      devices: [...(this.#heard.get(id)?.values() ?? [])].slice(-2).sort(),
    }));
  }
}
