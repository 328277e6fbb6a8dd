import { PHASE, type Phase } from '../../daemon/engine/engine-spec.ts';
import type { TileShape } from '../../daemon/engine/tile.ts';
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
import type { PhaseAnswer } from './rank.ts';
import { rankFailure } from './rank-failure.ts';

interface Waiting {
  readonly of: PhaseOfStep;
  readonly resolve: (answer: PhaseAnswer) => void;
  readonly reject: (error: StarlingError) => void;
}

/** Phases given to a remote device over its data link, and their answers. */
export class StarLeafLink {
  readonly #link: DataLink;
  readonly #name: string;
  readonly #phases: ReadonlySet<string>;
  readonly #waiting: Waiting[] = [];
  /** Where answers are kept until they are added: of two at most, as two phases may be under way. */
  readonly #answers: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];
  #next: 0 | 1 = 0;

  /** @param tiles of the device */
  constructor(link: DataLink, name: string, tiles: readonly TileShape[]) {
    this.#link = link;
    this.#name = name;
    this.#phases = new Set(tiles.flatMap((tile) => phaseKey(tile) ?? []));
  }

  hasTiles(layer: number, phase: Phase): boolean {
    return this.#phases.has(`${layer}/${phase}`);
  }

  beginStep(step: Uint8Array, number: number, rows: number, heads: number): void {
    this.#link.send(stepFrame(number, rows, heads), step);
  }

  compute(of: PhaseOfStep, input: Uint8Array): Promise<PhaseAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ of, resolve, reject });
      this.#link.send(inputFrame(of), input);
    });
  }

  /** Takes an answer; one to a step that was given up is dropped. */
  take({ header, payload }: Frame): void {
    const place = this.#waiting.findIndex(({ of }) => isAbout(header, of));
    const [waiting] = place < 0 ? [] : this.#waiting.splice(place, 1);
    if (waiting === undefined) return;
    if (header.type !== answerFrame(waiting.of).type || header.rows !== waiting.of.rows.count) {
      waiting.reject(rankFailure(this.#name, header.type, payload));
      return;
    }
    try {
      const usage = decodeUsage(payload);
      waiting.resolve({ content: this.#keep(payload.subarray(USAGE_BYTES)), usage });
    } catch (error) {
      waiting.reject(toStarlingError(error));
    }
  }

  #keep(content: Uint8Array): Uint8Array {
    const place = this.#next;
    this.#next = place === 0 ? 1 : 0;
    if (this.#answers[place].length < content.length) this.#answers[place] = Buffer.allocUnsafeSlow(content.length);
    this.#answers[place].set(content);
    return this.#answers[place].subarray(0, content.length);
  }

  /** No answer comes any more. */
  fail(error: StarlingError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

/** The phase that a tile is asked for in; key/value tiles come along with those that attend to them. */
function phaseKey({ kind, layer }: TileShape): string | null {
  if (kind === 'kv') return null;
  return `${layer}/${kind === 'head' ? PHASE.head : kind === 'ffn' ? PHASE.ffn : PHASE.attention}`;
}
