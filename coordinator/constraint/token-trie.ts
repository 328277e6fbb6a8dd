/** A token and the bytes that it stands for. */
export interface TokenBytes {
  readonly token: number;
  readonly bytes: Uint8Array;
}

/** A trie as flat arrays, which can be handed from thread to thread; made by `trieTables`. */
export interface TrieTables {
  /** Of each node: its byte, its depth (0 under the root), the node after its subtree. */
  readonly bytes: Uint8Array;
  readonly depths: Uint16Array;
  readonly ends: Int32Array;
  /** Of each node and of one more: where in `tokens` the tokens that end there begin. */
  readonly firsts: Int32Array;
  readonly tokens: Int32Array;
}

/** @param sorted as `sortedByBytes` has them, none of them empty */
export function trieTables(sorted: readonly TokenBytes[]): TrieTables {
  const lengths = new Uint16Array(sorted.length);
  let [nodes, deepest] = [0, 0];
  for (let i = 0; i < sorted.length; i++) {
    const { bytes } = sorted[i]!;
    lengths[i] = shared(sorted[i - 1]?.bytes, bytes);
    nodes += bytes.length - lengths[i]!;
    deepest = Math.max(deepest, bytes.length);
  }
  const bytesOf = new Uint8Array(nodes);
  const depths = new Uint16Array(nodes);
  const ends = new Int32Array(nodes).fill(nodes);
  const firsts = new Int32Array(nodes + 1);
  const path = new Int32Array(deepest);
  let [node, depth] = [0, 0];
  for (let i = 0; i < sorted.length; i++) {
    const { bytes } = sorted[i]!;
    // Below what it shares with the token before, that one's subtrees end.
    while (depth > lengths[i]!) ends[path[--depth]!] = node;
    for (; depth < bytes.length; depth++, node++) {
      bytesOf[node] = bytes[depth]!;
      depths[node] = depth;
      // Tokens of the nodes above are before these.
      firsts[node] = i;
      path[depth] = node;
    }
    firsts[node] = i + 1;
  }
  firsts[nodes] = sorted.length;
  return { bytes: bytesOf, depths, ends, firsts, tokens: Int32Array.from(sorted, ({ token }) => token) };
}

/**
 * Tokens by their bytes, as a tree in which every node stands for one more byte. Nodes are numbered depth first, so
 * that the walk over a tree is a loop, and a subtree is left out by going on after it.
 */
export class TokenTrie {
  readonly bytes: Uint8Array;
  readonly depths: Uint16Array;
  readonly ends: Int32Array;
  readonly firsts: Int32Array;
  readonly tokens: Int32Array;

  constructor({ bytes, depths, ends, firsts, tokens }: TrieTables) {
    this.bytes = bytes;
    this.depths = depths;
    this.ends = ends;
    this.firsts = firsts;
    this.tokens = tokens;
  }

  get nodes(): number {
    return this.bytes.length;
  }

  /**
   * The token that ends at a node; null where there is none. Of several it is the first, but of those of a single byte
   * the last: vocabularies that have bytes as tokens have them before characters, and models write the latter.
   */
  tokenAt(node: number): number | null {
    const [first, end] = [this.firsts[node]!, this.firsts[node + 1]!];
    if (first === end) return null;
    return this.tokens[this.depths[node] === 0 ? end - 1 : first]!;
  }

  /** The child of a node, or of the root (-1), for a byte; -1 where there is none. */
  child(node: number, byte: number): number {
    const end = node < 0 ? this.nodes : this.ends[node]!;
    for (let child = node + 1; child < end; child = this.ends[child]!) if (this.bytes[child] === byte) return child;
    return -1;
  }
}

/** Tokens in the order of their bytes, and of their ids where those are equal. */
export function sortedByBytes(entries: readonly TokenBytes[]): TokenBytes[] {
  // Strings are compared several times faster than buffers.
  const keyed = entries.map((entry) => ({ entry, key: String.fromCharCode(...entry.bytes) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.entry.token - b.entry.token));
  return keyed.map(({ entry }) => entry);
}

/** Bytes that both begin with. */
function shared(a: Uint8Array | undefined, b: Uint8Array): number {
  if (a === undefined) return 0;
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
