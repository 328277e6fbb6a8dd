import type { EngineSpec, Phase } from '../../daemon/engine/engine-spec.ts';
import type { RowRange } from '../../daemon/engine/step.ts';
import type { EngineUsage } from '../../daemon/engine/usage.ts';
import type { Control } from '../../daemon/protocol/control.ts';
import type { Polled } from '../../daemon/protocol/poller.ts';
import type { PhaseOfStep } from '../../daemon/protocol/star-codec.ts';
import type { TileShape } from '../../daemon/tile/tile.ts';

/** How a device has divided its memory. */
export type RankMemory = Control<'ready'>['memory'];

/** A model as devices know it. */
export interface ModelName {
  readonly id: string;
  readonly name: string;
}

/**
 * A device in a plan: this computer or one reached over the network. It is loaded, given the tiles it lacks, and
 * started.
 */
export interface Rank {
  readonly id: string;
  readonly name: string;
  /** What a plan is made from. */
  readonly profile: { readonly memoryBytes: number; readonly backend: string; readonly threads: number };
  /** Undefined before it is ready. */
  readonly memory: RankMemory | undefined;
  /**
   * Gives the device its share of a model.
   * @returns the tiles that it does not have
   * @throws StarlingError device_busy, device_lost, out_of_memory, disk_full, store_limit_exceeded
   */
  load(model: ModelName, spec: EngineSpec, share: readonly TileShape[]): Promise<readonly TileShape[]>;
  /**
   * Brings a tile to the device.
   * @param content stays as it is until this settles
   * @param sha256 of the content
   * @returns when it is stored
   */
  push(tile: TileShape, content: Uint8Array, sha256: Uint8Array): Promise<void>;
  /**
   * Has the device read its tiles into memory.
   * @returns tiles that it found damaged, then to be pushed and started again; none when it is ready
   */
  start(): Promise<readonly TileShape[]>;
  /** Takes the share back; the device can then be given another. No tile may be under way. */
  unload(): void;
}

/** A device's part in the star. What comes is seen in the event loop's turns, or sooner when it is polled. */
export interface Leaf extends Polled {
  readonly id: string;
  readonly name: string;
  hasTiles(layer: number, phase: Phase): boolean;
  /**
   * Announces the rows that the following phases compute.
   * @param step as star-codec encodes it
   * @param heads rows that logits are wanted of
   */
  beginStep(step: Uint8Array, number: number, rows: number, heads: number): void;
  /**
   * Sends a phase's input at once and awaits the device's answer. Two phases may be waited for at a time; the device
   * computes them in this order.
   * @param input the rows in the phase's activation format; the same bytes for every leaf
   * @param take takes what the device answers, some rows at a time, in order; what it throws is the answer's failure
   * @returns what the device has done since its last answer
   * @throws StarlingError device_lost, device_error, numeric_overflow
   */
  compute(of: PhaseOfStep, input: Uint8Array, take: TakeRows): Promise<EngineUsage>;
}

/**
 * Takes a part of a device's answer.
 * @param rows of the step
 * @param content packed sums, or logits of the device's head tiles: f32 [row][its part of the vocabulary, padded to 8];
 * the taker's until it returns
 */
export type TakeRows = (rows: RowRange, content: Uint8Array) => void;
