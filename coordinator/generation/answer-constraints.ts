import type { Constraint } from '../constraint/constraint.ts';
import { FormatCompiler } from '../constraint/format-compiler.ts';
import { OutputFormats } from '../constraint/output-formats.ts';
import type { GenerationRequest } from './answer.ts';
import type { TextCodec } from './text-codec.ts';
import { inChannels, withMarks } from './tool-calls/call-format.ts';

/** Makes the constraints of answers that have a format. */
export class AnswerConstraints {
  readonly #codec: TextCodec;
  readonly #vocabSize: number;
  readonly #compiler = new FormatCompiler();
  readonly #formats: OutputFormats;
  /** For calls of tools whose marks are tokens without a text. */
  #callFormats: OutputFormats | null = null;

  constructor(codec: TextCodec, vocabSize: number) {
    this.#codec = codec;
    this.#vocabSize = vocabSize;
    this.#formats = new OutputFormats(codec, vocabSize, this.#compiler);
  }

  /**
   * Where an answer may go; null for anywhere.
   * @throws StarlingError invalid_request, unsupported_parameter
   */
  async of({ format: wanted, calling, reasoning }: GenerationRequest): Promise<Constraint | null> {
    if (wanted === undefined) return null;
    const format = reasoning?.form.kind === 'channels' ? inChannels(wanted) : wanted;
    const hidden = [...(calling?.form.tokens ?? [])].filter(([token]) => this.#codec.pieceBytes(token).length === 0);
    if (format.kind !== 'calls' || hidden.length === 0) return this.#formats.constraint(format);
    const source = withMarks(this.#codec, new Map(hidden));
    this.#callFormats ??= new OutputFormats(source, this.#vocabSize, this.#compiler);
    return this.#callFormats.constraint(format);
  }

  stop(): void {
    this.#compiler.stop();
  }
}
