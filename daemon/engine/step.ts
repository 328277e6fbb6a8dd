/** The rows of one step: which position of which sequence each is, and where that sequence's KV pages are. */
export interface Step {
  /** Position of each row in its sequence. */
  readonly positions: Uint32Array;
  /** For each row, its sequence: an index into `pages`. Rows of one sequence stand in order of position. */
  readonly sequences: Uint16Array;
  /** KV page ids of each sequence, for positions 0, KV_PAGE, …, at least up to its last row. */
  readonly pages: readonly Uint32Array[];
  /**
   * The rotary tables of EngineSpec.ropes, one after the other, each f32 [row][width]: width/2 pairs (cos, sin). Made
   * once by the coordinator, so that every device rotates with the same bits.
   */
  readonly rope: Float32Array;
}

/** Consecutive rows of a step, which can be computed apart from the others. */
export interface RowRange {
  readonly first: number;
  readonly count: number;
}

export const rowsOf = (step: Step): number => step.positions.length;
