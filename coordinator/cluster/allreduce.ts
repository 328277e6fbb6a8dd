import type { Phase } from '../../daemon/engine/engine-spec.ts';
import type { RowRange, Step } from '../../daemon/engine/step.ts';
import type { Address } from '../../kernels/kernels.ts';

/**
 * What lies between the forward pass, which knows the order of phases, and the devices that compute them. Inputs are in
 * the engine that both share; how they reach the devices and how the sums come back is a topology's own affair.
 */
export interface Allreduce {
  /** @param heads rows that logits are wanted of, the first ones of the head's input */
  beginStep(step: Step, heads: number): void;
  /**
   * Computes a layer's phase for some rows of the step on all devices. Devices get it at once, in the order of these
   * calls; two may be under way.
   * @returns f64 [row][cols]: the exact sums of the whole model, in the engine, valid until the next call for one of
   * these rows
   * @throws StarlingError device_lost, device_error, numeric_overflow; after every device has answered or was given up
   */
  allreduce(layer: number, phase: Phase, rows: RowRange): Promise<Address>;
  /**
   * Computes the head, which ends a step that has one.
   * @returns f32 [row][stride], whose first `vocabSize` are a row's logits; valid until the next call
   * @throws StarlingError as above
   */
  head(rows: number): Promise<{ readonly logits: Float32Array; readonly stride: number }>;
}
