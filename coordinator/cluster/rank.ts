import type { EngineUsage } from '../../daemon/engine/engine.ts';
import type { RowRange } from '../../daemon/engine/step.ts';

/** A device that computes its share of each phase: one leaf of the star. */
export interface Rank {
  readonly id: string;
  readonly name: string;
  hasTiles(layer: number, phase: 0 | 1): boolean;
  /** Announces the rows that the following phases compute. */
  beginStep(step: Uint8Array, number: number, rows: number): void;
  /**
   * Sends a phase's input at once and awaits the device's packed sums, and what it took the device to compute them. Two
   * phases may be waited for at a time; the device computes them in this order.
   * @param input the rows in its activation format; the same bytes for every rank
   * @throws StarlingError device_lost, device_error, numeric_overflow
   */
  compute(phase: PhaseOfStep, input: Uint8Array): Promise<PhaseAnswer>;
}

export interface PhaseAnswer {
  readonly packed: Uint8Array;
  /** Since the device's last answer. */
  readonly usage: EngineUsage;
}

export interface PhaseOfStep {
  readonly step: number;
  readonly layer: number;
  readonly phase: 0 | 1;
  readonly rows: RowRange;
}
