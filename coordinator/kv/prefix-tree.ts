import { KV_PAGE } from '../../kernels/formats.ts';

/** A KV page of the tree: the keys and values of these tokens, which follow those of its parent. */
export interface PrefixNode {
  readonly parent: PrefixNode | null;
  readonly page: number;
  /** KV_PAGE token ids; fewer in a tail. */
  readonly tokens: readonly number[];
  readonly children: Map<string, PrefixNode>;
  /** Pages that a sequence had filled in part when it ended. */
  readonly tails: Set<PrefixNode>;
  /** Sequences that read this page. Whoever reads a page reads its ancestors too. */
  readers: number;
}

/**
 * Which computed pages there are, by the tokens that they and all before them stand for. The keys and values of a
 * position depend on the tokens up to there alone, and not on the batch they were computed in: a page found here has
 * the bits that computing it again would give. Pages that nobody reads are the cache; the one unused for longest goes
 * first.
 */
export class PrefixTree {
  readonly root: PrefixNode = node(null, -1, []);
  /** All nodes but the root; the one used last stands last, and a node after its children. */
  readonly #byUse = new Set<PrefixNode>();
  #unread = 0;

  /** Pages that nobody reads: all of them can be evicted, one after the other. */
  get evictable(): number {
    return this.#unread;
  }

  get size(): number {
    return this.#byUse.size;
  }

  /** The full page after `parent` that holds the tokens from `at` on. */
  child(parent: PrefixNode, tokens: readonly number[], at: number): PrefixNode | undefined {
    return at + KV_PAGE > tokens.length ? undefined : parent.children.get(pageKey(tokens, at));
  }

  /** Adds a full page, read by one sequence. There must be no such child yet. */
  insert(parent: PrefixNode, tokens: readonly number[], at: number, page: number): PrefixNode {
    const added = node(parent, page, tokens.slice(at, at + KV_PAGE));
    added.readers = 1;
    parent.children.set(pageKey(tokens, at), added);
    this.#byUse.add(added);
    return added;
  }

  retain(page: PrefixNode): void {
    if (page.readers++ === 0) this.#unread--;
  }

  /** Lets go of a path of pages, from the root on. */
  release(path: readonly PrefixNode[]): void {
    for (const page of path.toReversed()) {
      if (--page.readers === 0) this.#unread++;
      this.#byUse.delete(page);
      this.#byUse.add(page);
    }
  }

  /**
   * The tail of `parent` that shares most with the tokens from `at` on. Going on in it overwrites what it does not
   * share, so one that would lose more than it saves is left alone. At least one of the tokens stays to be computed.
   */
  tail(parent: PrefixNode, tokens: readonly number[], at: number): { tail: PrefixNode; shared: number } | null {
    let best: { tail: PrefixNode; shared: number } | null = null;
    for (const tail of parent.tails) {
      const most = Math.min(tail.tokens.length, tokens.length - 1 - at);
      let shared = 0;
      while (shared < most && tail.tokens[shared] === tokens[at + shared]) shared++;
      if (shared * 2 >= tail.tokens.length && shared > (best?.shared ?? 0)) best = { tail, shared };
    }
    return best;
  }

  /** Takes a tail out of the tree, for one sequence to go on in it. @returns its page */
  takeTail(tail: PrefixNode): number {
    this.#remove(tail);
    return tail.page;
  }

  /**
   * Keeps a page that a sequence had filled in part when it ended.
   * @returns the pages that are worth nothing beside the others: this one, or tails that it continues
   */
  putTail(parent: PrefixNode, tokens: readonly number[], page: number): number[] {
    const freed: number[] = [];
    for (const other of parent.tails) {
      if (startsWith(other.tokens, tokens)) return [page];
      if (!startsWith(tokens, other.tokens)) continue;
      this.#remove(other);
      freed.push(other.page);
    }
    const added = node(parent, page, tokens);
    parent.tails.add(added);
    this.#byUse.add(added);
    this.#unread++;
    return freed;
  }

  /**
   * Forgets the page that nobody has read for longest and nothing continues.
   * @returns its id; undefined when all are read
   */
  evict(): number | undefined {
    for (const candidate of this.#byUse) {
      if (candidate.readers > 0 || candidate.children.size > 0 || candidate.tails.size > 0) continue;
      this.#remove(candidate);
      return candidate.page;
    }
    return undefined;
  }

  #remove(gone: PrefixNode): void {
    const parent = gone.parent!;
    if (!parent.tails.delete(gone)) parent.children.delete(pageKey(gone.tokens, 0));
    this.#byUse.delete(gone);
    this.#unread--;
  }
}

function node(parent: PrefixNode | null, page: number, tokens: readonly number[]): PrefixNode {
  return { parent, page, tokens, children: new Map(), tails: new Set(), readers: 0 };
}

/** A page's tokens as the key of a map: two characters a token. */
function pageKey(tokens: readonly number[], at: number): string {
  const units: number[] = [];
  for (let i = at; i < at + KV_PAGE; i++) units.push(tokens[i]! & 0xffff, tokens[i]! >>> 16);
  return String.fromCharCode(...units);
}

const startsWith = (tokens: readonly number[], beginning: readonly number[]): boolean =>
  beginning.length <= tokens.length && beginning.every((token, i) => tokens[i] === token);
