/** Users remembered beyond those that are there; who returns later starts even. */
const MOST_IDLE = 1024;

/**
 * Token-weighted fair sharing: each user's service so far, in tokens computed for them. Whoever has had least comes
 * first. A user who comes back after a pause is lifted to the least of those who stayed, so that nobody saves up a
 * claim (Sheng et al. 2024, "Fairness in Serving Large Language Models", §4).
 */
export class FairShares {
  /** In order of the last visit. */
  readonly #service = new Map<string, number>();

  service(user: string): number {
    return this.#service.get(user) ?? 0;
  }

  /** A user has work who had none. @param present users who have */
  join(user: string, present: Iterable<string>): void {
    let least = Number.POSITIVE_INFINITY;
    let count = 0;
    for (const other of present) {
      if (other === user) continue;
      least = Math.min(least, this.service(other));
      count++;
    }
    const own = this.service(user);
    this.#service.delete(user);
    this.#service.set(user, least === Number.POSITIVE_INFINITY ? own : Math.max(own, least));
    for (const oldest of this.#service.keys()) {
      if (this.#service.size <= MOST_IDLE + count + 1) break;
      this.#service.delete(oldest);
    }
  }

  charge(user: string, tokens: number): void {
    this.#service.set(user, this.service(user) + tokens);
  }
}
