import type { EngineUsage } from '../../daemon/engine/engine.ts';

/** A device that computes its share of each phase: one leaf of the star. */
export interface Rank {
  readonly id: string;
  readonly name: string;
  hasTiles(layer: number, phase: 0 | 1): boolean;
  /** Announces the rows that the following phases compute. */
  beginStep(step: Uint8Array, number: number, rows: number): void;
  /**
   * Sends a phase's input and awaits the device's packed sums, and what it took the device to compute them.
   * @param input the phase's rows in its activation format; the same bytes for every rank
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
  readonly rows: number;
}
