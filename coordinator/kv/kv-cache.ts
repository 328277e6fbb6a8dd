import { pagesFor } from '../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { KV_PAGE } from '../../kernels/formats.ts';
import { PagePool } from './page-pool.ts';
import { type PrefixNode, PrefixTree } from './prefix-tree.ts';

/** One sequence's place in the KV caches of all devices. */
export interface KvSequence {
  /** Positions whose keys and values are there. */
  readonly computed: number;
  /** Page ids of positions 0, KV_PAGE, …; may reach beyond what is computed. */
  readonly pages: readonly number[];
}

interface Held extends KvSequence {
  computed: number;
  pages: number[];
  /** The pages that are full, shared through the tree; the pages after them are this sequence's alone. */
  readonly path: PrefixNode[];
  readonly mostPages: number;
}

export interface KvCounts {
  readonly pages: number;
  /** Neither held by a sequence nor worth keeping. */
  readonly free: number;
  /** Kept for a prefix that may come again; given up when pages are needed. */
  readonly cached: number;
  /** Open sequences. */
  readonly sequences: number;
}

/**
 * Which KV page holds what. The coordinator alone decides; every device follows its page ids. A sequence is opened only
 * when all pages that it can ever come to need are sure to be there, so that no step fails for want of one. Invariant:
 * the pages promised to open sequences are at most those that are free or can be evicted.
 */
export class KvCache {
  #pages: number;
  #pool: PagePool;
  #tree = new PrefixTree();
  /** Pages that open sequences do not hold yet and may come to need. */
  #promised = 0;
  #sequences = 0;

  constructor(pages: number) {
    this.#pages = pages;
    this.#pool = new PagePool(pages);
  }

  get pages(): number {
    return this.#pages;
  }

  /** Forgets what all pages hold: there are others now. No sequence may be open. */
  reset(pages: number): void {
    if (this.#sequences > 0) throw new StarlingError('internal', 'KV pages were taken from a sequence');
    this.#pages = pages;
    this.#pool = new PagePool(pages);
    this.#tree = new PrefixTree();
  }

  get counts(): KvCounts {
    const { pages } = this;
    return { pages, free: this.#pool.size, cached: this.#tree.evictable, sequences: this.#sequences };
  }

  /**
   * Opens a sequence of these tokens, its beginning taken from pages that are there already; the last token at least is
   * left to be computed.
   * @param mostPositions positions that it may come to have, at least those of the tokens
   * @returns null when that many pages cannot be promised at present
   */
  open(tokens: readonly number[], mostPositions: number): KvSequence | null {
    const path: PrefixNode[] = [];
    for (let next = this.#shared(path, tokens); next !== undefined; next = this.#shared(path, tokens)) path.push(next);
    const at = path.length * KV_PAGE;
    const found = this.#tree.tail(path.at(-1) ?? this.#tree.root, tokens, at);
    const mostPages = pagesFor(mostPositions);
    const needed = mostPages - path.length - (found === null ? 0 : 1);
    const unread = path.filter(({ readers }) => readers === 0).length + (found === null ? 0 : 1);
    if (this.#promised + needed > this.#pool.size + this.#tree.evictable - unread) return null;
    for (const page of path) this.#tree.retain(page);
    const pages = path.map(({ page }) => page);
    if (found !== null) pages.push(this.#tree.takeTail(found.tail));
    this.#promised += needed;
    this.#sequences++;
    const held: Held = { computed: at + (found?.shared ?? 0), pages, path, mostPages };
    return held;
  }

  /**
   * Takes over pages that other sequences with the same beginning have computed meanwhile.
   * @returns positions gained
   */
  catchUp(sequence: KvSequence, tokens: readonly number[]): number {
    const held = sequence as Held;
    const before = held.computed;
    for (;;) {
      const next = this.#shared(held.path, tokens);
      if (next === undefined) break;
      this.#tree.retain(next);
      this.#replace(held, next);
      held.computed = Math.max(held.computed, held.path.length * KV_PAGE);
    }
    return held.computed - before;
  }

  /** Gives the sequence pages for `positions` positions, at most as many as it was opened for. */
  grow(sequence: KvSequence, positions: number): void {
    const held = sequence as Held;
    while (held.pages.length < pagesFor(positions)) {
      const page = held.pages.length < held.mostPages ? (this.#pool.take() ?? this.#tree.evict()) : undefined;
      if (page === undefined) {
        throw new StarlingError('internal', 'a sequence needs more KV pages than it was opened for');
      }
      held.pages.push(page);
      this.#promised--;
    }
  }

  /** Positions up to `computed` have been computed: pages that are full now are there for everybody. */
  advance(sequence: KvSequence, tokens: readonly number[], computed: number): void {
    const held = sequence as Held;
    held.computed = computed;
    while ((held.path.length + 1) * KV_PAGE <= computed) {
      const at = held.path.length * KV_PAGE;
      const parent = held.path.at(-1) ?? this.#tree.root;
      const same = this.#tree.child(parent, tokens, at);
      if (same === undefined) {
        held.path.push(this.#tree.insert(parent, tokens, at, held.pages[held.path.length]!));
      } else {
        this.#tree.retain(same);
        this.#replace(held, same);
      }
    }
  }

  /** Ends the sequence. What it has computed stays in the cache until its pages are needed. */
  close(sequence: KvSequence, tokens: readonly number[]): void {
    const held = sequence as Held;
    const { path, pages, computed } = held;
    this.#promised -= held.mostPages - pages.length;
    this.#sequences--;
    const [partial, ...beyond] = pages.slice(path.length);
    for (const page of beyond) this.#pool.give(page);
    if (partial !== undefined) {
      const rest = tokens.slice(path.length * KV_PAGE, computed);
      const freed = rest.length === 0 ? [partial] : this.#tree.putTail(path.at(-1) ?? this.#tree.root, rest, partial);
      for (const page of freed) this.#pool.give(page);
    }
    this.#tree.release(path);
    held.pages = [];
    held.computed = 0;
  }

  /** The next full page after `path` that is in the tree, if the tokens go on beyond it. */
  #shared(path: readonly PrefixNode[], tokens: readonly number[]): PrefixNode | undefined {
    const at = path.length * KV_PAGE;
    if (at + KV_PAGE > tokens.length - 1) return undefined;
    return this.#tree.child(path.at(-1) ?? this.#tree.root, tokens, at);
  }

  /** Puts a page of the tree in the place of the sequence's own, if it has one there. */
  #replace(held: Held, next: PrefixNode): void {
    const own = held.pages[held.path.length];
    held.pages[held.path.length] = next.page;
    held.path.push(next);
    if (own === undefined) this.#promised--;
    else this.#pool.give(own);
  }
}
