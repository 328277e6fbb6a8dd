/** Edges of a graph as rows of `width` numbers; those of one state, by one of their columns, are together. */
export interface EdgeTable {
  readonly width: number;
  /** Of each state, and of one more: where in `rows` its rows begin. */
  readonly firsts: Int32Array;
  readonly rows: Int32Array;
}

/**
 * @param edges rows, one after the other
 * @param column which number of a row is the state that has it
 */
export function edgeTable(states: number, edges: readonly number[], width: number, column = 0): EdgeTable {
  const firsts = new Int32Array(states + 1);
  for (let i = column; i < edges.length; i += width) firsts[edges[i]! + 1]! += width;
  for (let state = 0; state < states; state++) firsts[state + 1]! += firsts[state]!;
  const rows = new Int32Array(edges.length);
  const next = firsts.slice();
  for (let row = 0; row < edges.length; row += width) {
    const state = edges[row + column]!;
    for (let i = 0; i < width; i++) rows[next[state]! + i] = edges[row + i]!;
    next[state]! += width;
  }
  return { width, firsts, rows };
}
