import type { Constraint } from '../constraint/constraint.ts';
import { OutputFormats } from '../constraint/output-format.ts';
import type { GenerationRequest } from './answer.ts';
import type { TextCodec } from './text-codec.ts';
import { withMarks } from './tool-calls/call-format.ts';

/** Makes the constraints of answers that have a format. */
export class AnswerConstraints {
  readonly #codec: TextCodec;
  readonly #vocabSize: number;
  readonly #formats: OutputFormats;
  /** For calls of tools whose marks are tokens without a text. */
  #callFormats: OutputFormats | null = null;

  constructor(codec: TextCodec, vocabSize: number) {
    this.#codec = codec;
    this.#vocabSize = vocabSize;
    this.#formats = new OutputFormats(codec, vocabSize);
  }

  /**
   * Where an answer may go; null for anywhere.
   * @throws StarlingError invalid_request, unsupported_parameter
   */
  of({ format, calling }: GenerationRequest): Constraint | null {
    if (format === undefined) return null;
    const hidden = [...(calling?.form.tokens ?? [])].filter(([token]) => this.#codec.pieceBytes(token).length === 0);
    if (format.kind !== 'calls' || hidden.length === 0) return this.#formats.constraint(format);
    this.#callFormats ??= new OutputFormats(withMarks(this.#codec, new Map(hidden)), this.#vocabSize);
    return this.#callFormats.constraint(format);
  }
}
