import { type EngineSpec, MAX_PHASES, type Phase } from '../../daemon/engine/engine-spec.ts';
import { type EngineUsage, usageSum } from '../../daemon/engine/usage.ts';
import { type StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { DataLink } from '../../daemon/protocol/data-link.ts';
import type { Frame } from '../../daemon/protocol/frames.ts';
import {
  answerFrame,
  decodeUsage,
  inputFrame,
  isAbout,
  type PhaseOfStep,
  stepFrame,
  USAGE_BYTES,
} from '../../daemon/protocol/star-codec.ts';
import type { TileShape } from '../../daemon/tile/tile.ts';
import { phaseOf, rulesOf } from '../../daemon/tile/tile-kinds.ts';
import type { TakeRows } from './rank.ts';
import { rankFailure } from './rank-failure.ts';

interface Waiting {
  readonly of: PhaseOfStep;
  readonly take: TakeRows;
  readonly resolve: (usage: EngineUsage) => void;
  readonly reject: (error: StarlingError) => void;
  /** The first row that has not come. */
  next: number;
  usage: EngineUsage;
}

/** A remote device's part in the star: phases given to it over its data link, and their answers. */
export class LeafLink {
  readonly #link: DataLink;
  readonly #name: string;
  readonly #phases: ReadonlySet<number>;
  readonly #waiting: Waiting[] = [];

  /** @param tiles of the device */
  constructor(link: DataLink, name: string, spec: EngineSpec, tiles: readonly TileShape[]) {
    this.#link = link;
    this.#name = name;
    // Tiles that add nothing come along with those that do.
    const asked = tiles.filter((tile) => rulesOf(tile).adds || tile.kind === 'head');
    this.#phases = new Set(asked.map((tile) => phaseKey(tile.layer, phaseOf(spec, tile))));
  }

  hasTiles(layer: number, phase: Phase): boolean {
    return this.#phases.has(phaseKey(layer, phase));
  }

  beginStep(step: Uint8Array, number: number, rows: number, heads: number): void {
    this.#link.send(stepFrame(number, rows, heads), step);
  }

  compute(of: PhaseOfStep, input: Uint8Array, take: TakeRows): Promise<EngineUsage> {
    return new Promise((resolve, reject) => {
      const usage = { computeMs: 0, diskMs: 0, bytesRead: 0 };
      this.#waiting.push({ of, take, resolve, reject, next: of.rows.first, usage });
      this.#link.send(inputFrame(of), input);
    });
  }

  /** Takes an answer or a part of it; one to a step that was given up is dropped. */
  take(frame: Frame): void {
    const waiting = this.#waiting.find(({ of }) => isAbout(frame.header, of));
    if (waiting === undefined) return;
    try {
      if (!this.#takeRows(waiting, frame)) return;
      waiting.resolve(waiting.usage);
    } catch (error) {
      waiting.reject(toStarlingError(error));
    }
    this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
  }

  /**
   * @returns whether these were the last rows
   * @throws StarlingError what the device told of, or that it makes no sense
   */
  #takeRows(waiting: Waiting, { header, payload }: Frame): boolean {
    const { of, take, next } = waiting;
    const end = of.rows.first + of.rows.count;
    const { type, index: first, rows: count } = header;
    if (type !== answerFrame(of).type || first !== next || count === 0 || first + count > end) {
      throw rankFailure(this.#name, type, payload);
    }
    waiting.usage = usageSum(waiting.usage, decodeUsage(payload));
    take({ first, count }, payload.subarray(USAGE_BYTES));
    waiting.next = first + count;
    return waiting.next === end;
  }

  /** No answer comes any more. */
  fail(error: StarlingError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

/** A phase of a layer as a number, as it is looked up in each phase of a step. */
const phaseKey = (layer: number, phase: Phase): number => layer * (MAX_PHASES + 1) + phase;
