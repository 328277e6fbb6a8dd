import type { Engine } from '../../daemon/engine/engine.ts';
import { inputFormat } from '../../daemon/engine/engine-spec.ts';
import { rowsOf, type Step } from '../../daemon/engine/step.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { encodeStep } from '../../daemon/protocol/step-codec.ts';
import type { Rank } from './rank.ts';

/**
 * The star allreduce: one broadcast of a phase's input, one exact sum of what all devices answer. The coordinator's own
 * engine is the centre and computes its share at the same time.
 */
export class Star {
  readonly engine: Engine;
  readonly #ranks: readonly Rank[];
  #step = 0;
  #rows = 0;

  constructor(engine: Engine, ranks: readonly Rank[]) {
    this.engine = engine;
    this.#ranks = ranks;
  }

  beginStep(step: Step): void {
    this.#step = (this.#step + 1) >>> 0;
    this.#rows = rowsOf(step);
    this.engine.beginStep(step);
    if (this.#ranks.length === 0) return;
    const payload = encodeStep(step);
    for (const rank of this.#ranks) rank.beginStep(payload, this.#step, this.#rows);
  }

  /**
   * Computes a phase on all devices from the engine's input rows; the engine's sums then are those of the whole model.
   * @throws StarlingError device_lost, device_error, numeric_overflow; after every device has answered or was given up
   */
  async allreduce(layer: number, phase: 0 | 1): Promise<void> {
    const { engine } = this;
    const rows = this.#rows;
    const ranks = this.#ranks.filter((rank) => rank.hasTiles(layer, phase));
    const input = engine.inputBytes(inputFormat(engine.spec, layer, phase), rows);
    const answers = ranks.map((rank) => rank.compute({ step: this.#step, layer, phase, rows }, input));
    const [own, ...others] = await Promise.allSettled([engine.run(layer, phase, rows), ...answers]);
    if (own.status === 'rejected') throw own.reason;
    for (const [i, answer] of others.entries()) {
      if (answer.status === 'rejected') throw answer.reason;
      if (!engine.addPackedSums(answer.value, rows)) {
        throw new StarlingError('protocol_invalid_message', `${ranks[i]!.name} answered with sums that are malformed`);
      }
    }
  }
}
